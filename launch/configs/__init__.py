"""One file per algorithm, and what they all may raise."""


class UnknownDomainError(ValueError):
    """The part after the colon of --config names no domain of that config file."""
