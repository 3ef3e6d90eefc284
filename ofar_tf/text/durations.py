"""Times as people say them."""


def format_duration(seconds: float) -> str:
    """Writes a duration in its two largest units at most: `45 s`, `3 min`, `2 h 5 min`, `3 d 4 h`.

    Args:
        seconds: At least 0.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
