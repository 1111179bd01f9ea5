"""Zero-shot heads from a shift's own class names, such as ObjectNet's 113.

An alternative to the usual protocol, which uses the rows of ImageNet's classes.
"""

from __future__ import annotations

from tuiprobe.catalog.labels import prompt_names
from tuiprobe.measure.head_choice import HeadChoice
from tuiprobe.measure.head_progress import HeadProgress
from tuiprobe.measure.plan import Plan
from tuiprobe.run.arrays import Arrays
from tuiprobe.run.head_file import OWN_NAMES, OWN_REASON


def own_name_heads(
    plan: Plan, choice: HeadChoice, progress: HeadProgress, most: int | None
) -> tuple[Arrays, dict[str, str]]:
    """Builds a head for each published set whose classes have their own names.

    Args:
        plan: The plan of the run.
        choice: The head of the run; only a zero-shot head has this alternative.
        progress: Called with progress.
        most: Most prompts that may be encoded; cached prompts do not count. None for no limit.

    Returns:
        Arrays `own_names/<set>` with one row per label, and metadata with the source of each
        head, or the reason why it is missing.
    """
    arrays: Arrays = {}
    said: dict[str, str] = {}
    if choice.kind != "zero-shot":
        return arrays, said
    for name, dataset in plan.suite.sets.items():
        if plan.suite.published.get(name) != "objectnet":
            continue
        names = prompt_names(dataset.classes)
        left = plan.encoder.prompts_left(names, choice.templates)
        if most is not None and left > most:
            said[OWN_REASON + name] = (
                "stopped before its head was built; the same command resumes"
                if most == 0
                else f"{left:,} prompts take a CPU hours; ask for them with --head zero-shot"
            )
            continue
        head = plan.encoder.head(names, choice.templates, progress=progress)
        if head is not None:
            arrays[OWN_NAMES + name] = head.weight.float().cpu().numpy()
            said[OWN_NAMES + name] = f"{head.source}, {len(names)} class names of its own"
    return arrays, said
