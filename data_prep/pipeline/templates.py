r"""How a prompt asks for the form of its answer: a system prompt, an instruction behind the question, or both.

``hash`` and ``boxed`` are the words of verl's ``examples/data_preprocess`` for GSM8K and MATH, so that results can be
compared. ``reasoning`` is the system prompt that the many GRPO tutorials around TRL share. ``think`` asks for the tags
of DeepSeek-R1.
"""

from dataclasses import dataclass

BOXED = r"\boxed{%s}"


BOX_IN_TAGS = r"Put the final answer between the tags within \boxed{}."


@dataclass(frozen=True)
class Template:
    """The form of an answer.

    Attributes:
        system: the system prompt, "" for none.
        instruction: follows the question, behind a space; "" for none.
        response: a response in this form, with %s for the answer: what the scorer must be able to read.
        in_tags: whether the answer stands between tags, where some scorers want a box around it.
    """

    system: str
    instruction: str
    response: str
    in_tags: bool = False

    def messages(
        self, question: str, boxed: bool, system_prompt: str | None, own_system: str = ""
    ) -> list[dict[str, str]]:
        """Return the prompt as chat messages.

        Args:
            question: the problem.
            boxed: whether the scorer wants a box around an answer between tags.
            system_prompt: used instead of the template's own; "" for none at all.
            own_system: the record's system message, which stands before the template's.
        """
        system = system_prompt
        if system is None:
            system = "\n\n".join(part for part in (own_system, self.system) if part)
        instruction = BOX_IN_TAGS if boxed and self.in_tags else self.instruction
        content = f"{question} {instruction}" if instruction else question
        messages = [{"role": "system", "content": system}] if system else []
        return [*messages, {"role": "user", "content": content}]

    def respond(self, answer: str, boxed: bool) -> str:
        """Return a response in this form that gives this answer."""
        return self.response % (BOXED % answer if boxed and self.in_tags else answer)


TEMPLATES = {
    "hash": Template(
        system="",
        instruction='Let\'s think step by step and output the final answer after "####".',
        response="The answer is clear.\n#### %s",
    ),
    "boxed": Template(
        system="",
        instruction=r"Let's think step by step and output the final answer within \boxed{}.",
        response=rf"The answer is clear. {BOXED}",
    ),
    "think": Template(
        system="Reason first, then answer. Write the reasoning within <think> </think> and the final answer within "
        "<answer> </answer>:\n<think>\n...\n</think>\n<answer>\n...\n</answer>",
        instruction="",
        response="<think>\nThe answer is clear.\n</think>\n<answer>\n%s\n</answer>",
        in_tags=True,
    ),
    "reasoning": Template(
        system="Respond in the following format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>",
        instruction="",
        response="<reasoning>\nThe answer is clear.\n</reasoning>\n<answer>\n%s\n</answer>",
        in_tags=True,
    ),
}
# A data set without templates: the question alone is the prompt, the answer alone the response.
PLAIN = Template(system="", instruction="", response="%s")
