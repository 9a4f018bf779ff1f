"""JSON documents, place by place."""


def leaves(part, place=()):
    """Yield (place, value) of everything in a document that is neither an object nor a list; a place is a path of keys."""
    if isinstance(part, dict | list):
        for name, inner in part.items() if isinstance(part, dict) else enumerate(part):
            yield from leaves(inner, (*place, name))
    else:
        yield place, part
