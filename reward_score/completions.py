"""The text of a response, however it is stored: as a text, or as the messages of a chat."""


def text_of(completion: object) -> str | None:
    """Return the text that a model wrote, None if it is stored in neither way.

    Args:
        completion: a text, or chat messages, of which the last one of the assistant counts. Its content is a text, or
            a list of parts whose texts are joined, as multi-modal chats have it. No message, or one that only calls a
            tool, is an empty text.
    """
    if isinstance(completion, dict):
        completion = [completion]
    if not isinstance(completion, list | tuple):
        return completion if isinstance(completion, str) else None
    messages = [message for message in completion if isinstance(message, dict)]
    spoken = [message for message in messages if message.get("role", "assistant") == "assistant"]
    return _content(spoken[-1].get("content")) if spoken else ""


def _content(content: object) -> str:
    if isinstance(content, list | tuple):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
