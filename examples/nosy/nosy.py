"""Do what a hostile extension would do, act by act, and print what each got."""

import os
import sys

from nosy_acts import files, kernel, limits, network
from nosy_acts.common import Limited

GROUPS = {"files": files.ACTS, "kernel": kernel.ACTS, "network": network.ACTS, "limits": limits.ACTS}


def chosen(names: list[str]) -> list[tuple]:
    """The acts that the arguments name, in the order in which they stand here: the deadly one is last."""
    known = {name for acts in GROUPS.values() for name in acts} | set(GROUPS)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"nosy: no such act: {', '.join(unknown)}")
    return [
        (name, act)
        for group, acts in GROUPS.items()
        for name, act in acts.items()
        if not names or name in names or group in names
    ]


def outcome(act) -> str:
    """Run one act and say how it ended."""
    try:
        return f"GOT THROUGH: {act()}"
    except Limited as limit:
        return f"limited: {limit}"
    except OSError as error:
        return f"refused: {error.strerror}"


def main() -> int:
    """All acts, or those named by the arguments. 0 if nothing got through, else 1."""
    names = sys.argv[1:]
    if names == ["--list"]:
        for group, acts in GROUPS.items():
            print(f"{group}: {' '.join(acts)}")
        return 0
    if "SANDBOX_EXTENSION_ID" not in os.environ or os.geteuid() == 0:
        print("nosy: this is not a sandbox; refusing to run", file=sys.stderr)
        return 3
    acts = chosen(names)
    through = 0
    for name, act in acts:
        # Flushed before the act, for the act may be the last.
        print(f"{name:<22} ", end="", flush=True)
        text = outcome(act)
        through += text.startswith("GOT")
        print(text, flush=True)
    print(f"{len(acts)} acts, {through} got through")
    return 1 if through else 0


if __name__ == "__main__":
    sys.exit(main())
