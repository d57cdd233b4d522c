"""Ground truths that are objects or lists, which parquet files may hold as JSON text."""

import json


def opened(ground_truth: object) -> object:
    """Return the object or list that a ground truth is as JSON text; anything else as it is.

    A text that only begins like JSON is an answer: the set ``{1,2}``, the film "[REC]".
    """
    if not isinstance(ground_truth, str) or not ground_truth.lstrip().startswith(("{", "[")):
        return ground_truth
    try:
        return json.loads(ground_truth)
    except (ValueError, RecursionError):
        return ground_truth
