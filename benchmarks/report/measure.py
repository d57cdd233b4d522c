"""Measure a report in headless Chromium: first paint, the script's start, and filters over all rollouts.

    python -m benchmarks.report.measure FILE.html [--chromium PATH]

Times are the browser's own (Performance API): milliseconds from the start of the navigation to the first contentful
paint, and from an input event to the end of the layout that it causes, the median of five.
"""

import argparse
import asyncio
import json
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from statistics import median

import websockets

FILTERS = {
    "a word": "form.text.value = 'remaining'",
    "a rare text": "form.text.value = '7 therefore 8'",
    "a reward": "form.text.value = ''; form.score0.value = 1",
    "a length": "form.score0.value = ''; form.length0.value = 300",
    "different rewards": "form.length0.value = ''; form.mixed.checked = true",
    "longest first": "form.mixed.checked = false; form.order.value = 'longest'",
}
REPEATS = 5


async def measure(page: str, port: int) -> None:
    targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
    address = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
    async with websockets.connect(address, max_size=None) as browser:
        number = 0

        async def call(method: str, **parameters):
            nonlocal number
            number += 1
            await browser.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while True:
                answer = json.loads(await browser.recv())
                if answer.get("id") == number:
                    return answer["result"]

        async def value(expression: str):
            result = await call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
            return result["result"].get("value")

        await call("Page.enable")
        paints = []
        for _ in range(REPEATS):
            await call("Page.navigate", url=page)
            while not await value("document.documentElement?.dataset.ready"):
                await asyncio.sleep(0.1)
            paints.append(
                (
                    await value("performance.getEntriesByName('first-contentful-paint')[0]?.startTime"),
                    float(await value("document.documentElement.dataset.ready")),
                )
            )
        first, ready = (median(times) for times in zip(*paints, strict=True))
        print(f"first paint {first:.0f} ms, script done {ready:.0f} ms")
        for name, change in FILTERS.items():
            times = []
            for _ in range(REPEATS):
                times.append(
                    await value(
                        f"(() => {{ const form = document.getElementById('filters').elements; {change};"
                        " const began = performance.now();"
                        " form.text.dispatchEvent(new Event('input', {bubbles: true}));"
                        " document.body.offsetHeight; return performance.now() - began; })()"
                    )
                )
            found = await value("document.getElementById('count').textContent")
            print(f"{name:18} {median(times):6.1f} ms (first {times[0]:.1f})  {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--chromium", default="chromium")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"]
        command = [given.chromium, *options, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            line = next(line for line in browser.stderr if "DevTools listening on" in line)
            port = int(line.split("127.0.0.1:")[1].split("/")[0])
            asyncio.run(measure(given.file.resolve().as_uri(), port))
        finally:
            browser.terminate()
            browser.wait()


if __name__ == "__main__":
    main()
