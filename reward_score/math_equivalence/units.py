"""Units behind a value: what is one, and whether two of them agree.

A unit is written as its factors with their exponents, "cm^2" or "h^-1*km", if all its words are known. Counted things
("12 edges") are units too, but only known units can disagree. Anything else behind a value changes what it says, and is
refused: "42 squared", "42 at most", "42 fifths".
"""

import re

from reward_score.math_equivalence.tokens import NotUnderstoodError, names

_SPELLINGS = {
    "percent": "percent percentage pct %",
    "degree": "degree degrees deg °",
    "radian": "radian radians rad",
    "dollar": "dollar dollars usd $ bucks",
    "cent": "cent cents ¢",
    "euro": "euro euros",
    "yuan": "yuan rmb 元",
    "mm": "mm millimeter millimeters millimetre millimetres 毫米",
    "cm": "cm centimeter centimeters centimetre centimetres 厘米",
    "m": "m meter meters metre metres 米",
    "km": "km kilometer kilometers kilometre kilometres 千米 公里",
    "nm": "nm nanometer nanometers",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard yards",
    "mi": "mi mile miles",
    "s": "s sec secs second seconds 秒",
    "min": "min mins minute minutes 分钟",
    "h": "h hr hrs hour hours 小时",
    "day": "day days 天",
    "week": "week weeks",
    "month": "month months",
    "year": "year years yr yrs 年",
    "mg": "mg milligram milligrams",
    "g": "g gram grams gm",
    "kg": "kg kilogram kilograms 千克",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "mL": "ml mL milliliter milliliters",
    "L": "L liter liters litre litres",
    "gallon": "gallon gallons gal",
    "N": "N newton newtons",
    "J": "J joule joules",
    "kJ": "kJ kilojoule kilojoules",
    "W": "W watt watts",
    "V": "V volt volts",
    "A": "A ampere amperes amp amps",
    "Pa": "Pa pascal pascals",
    "K": "K kelvin",
    "Hz": "Hz hz hertz",
    "mol": "mol mole moles",
    "eV": "eV",
    "MeV": "MeV",
    "celsius": "celsius",
    "fahrenheit": "fahrenheit",
    "mph": "mph",
    "kph": "kph",
    "am": "am",
    "pm": "pm",
}
UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
# Alone, these are variables or words; as the text behind a value they are units.
ONLY_IN_TEXT = names("m s g h L N J W V A K in min")
MULTIPLIERS = {
    **{"百": 100, "千": 1000, "万": 10**4, "亿": 10**8, "万亿": 10**12, "百万": 10**6, "千万": 10**7},
    **{"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12},
}

_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_COUNTED = names(
    "unit way point people person children men women integer side edge vertices each inclusive 个 人 种 次 条"
)
# Words that change a value or say that it is none, also where they look like a plural.
_NO_COUNTED = re.compile(
    r"(?:and|or|not|no|nor|is|isn|are|was|wrong|maybe|times|halves|thirds|quarters|plus|minus|than|but|less|unless|"
    r"perhaps|alas|yes|always|else|versus|vs|false|true|incorrect|gross|pairs|scores|lakhs|crores|doubles|triples|"
    r"negatives|at|least|most|below|above|over|under|divided|choose|to|through|by|if|when|for|where|except|.*ths|.*ly|"
    r"one|two|three|four|five|six|seven|eight|nine|ten|twenty|thirty|forty|fifty|.*[不非或和与万亿千百十半倍约].*)"
)
_SCALE = re.compile("[百千万亿]+")
_PIECES = re.compile(
    r"(?P<word>[^\W\d_]+|[%$°¢])|\^\s*\{?\s*(?P<exponent>-?[0-9])\s*\}?|(?P<per>/)|(?P<other>[^\s.~·{}])"
)


def read_unit(text: str) -> tuple[str, int]:
    """Return a unit by its factors, or "counted" for things, and the number that "million" and the like stand for.

    Raises:
        NotUnderstoodError: if the text is no unit.
    """
    factors: dict[str, int] = {}
    counted: list[str] = []
    multiplier = sign = power = 1
    last = ""
    for piece in _PIECES.finditer(text):
        word = piece["word"]
        scale = _SCALE.match(word) if word and word not in UNITS else None
        if scale and scale.group() in MULTIPLIERS:  # 3万元
            multiplier *= MULTIPLIERS[scale.group()]
            word = word[scale.end() :]
            if not word:
                continue
        if piece["other"] or piece["exponent"] and not (last or counted):
            raise NotUnderstoodError("text behind a value that is no unit")
        if piece["exponent"]:
            if last:  # units^2 counts like units
                factors[last] *= int(piece["exponent"])
        elif piece["per"] or word == "per":
            sign = -1
        elif word in _POWERS:
            power = _POWERS[word]
        elif word.lower().removesuffix("s") in MULTIPLIERS and not factors:
            multiplier *= MULTIPLIERS[word.lower().removesuffix("s")]
        elif word in UNITS or word.lower() in UNITS:
            last = UNITS.get(word) or UNITS[word.lower()]
            factors[last] = factors.get(last, 0) + sign * power
            sign = power = 1
        else:
            counted.append(word.lower())
            last = ""
    if counted:
        _check_counted(counted)
        return "counted", multiplier
    if factors.keys() == {"degree", "celsius"}:
        factors.pop("degree")
    return "*".join(
        name if exponent == 1 else f"{name}^{exponent}" for name, exponent in sorted(factors.items())
    ), multiplier


def is_unit(text: str) -> bool:
    """Return whether a text is made of known units alone."""
    try:
        return read_unit(text)[0] not in ("", "counted")
    except NotUnderstoodError:
        return False


def agree(unit: str, gold_unit: str) -> bool:
    """Return whether an answer's unit may stand for the gold's: the same, or one is left out or counts things."""
    if unit == gold_unit or not unit:
        return True
    if unit.startswith("mod ") or gold_unit.startswith("mod "):
        return False
    return not gold_unit or "counted" in (unit, gold_unit)


def _check_counted(words: list[str]) -> None:
    kept = _SAYS_NOTHING.sub("", " ".join(words)).split()
    if len(kept) > 4 or any(_NO_COUNTED.fullmatch(word) for word in words if word not in _IN_ALL):
        raise NotUnderstoodError("text behind a value that is no unit")
    if not kept:
        return
    noun = kept[-1]
    if noun not in _COUNTED and not (noun.endswith("s") and len(noun) > 3) and noun.isascii():
        raise NotUnderstoodError("text behind a value that counts nothing")
    if not noun.isascii() and len(noun) > 6:
        raise NotUnderstoodError("text behind a value that counts nothing")


_IN_ALL = names("in total all altogether overall is the answer to do it this so")
# Behind a noun: "people in total", "apples in the basket", "ways of sitting".
_SAYS_NOTHING = re.compile(
    r"(?:^|\s)(?:(?:is the answer|to do (?:it|this|so)|in (?:total|all)|altogether|overall|total|combined|each"
    r"|left over|left|remaining|apiece)"
    r"|(?:in|of|from|on) (?:the |a |an |his |her |their |this |each )?[a-z]+(?: [a-z]+)?)$"
)
