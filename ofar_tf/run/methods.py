"""The methods that one trainer can run: settings that differ, and nothing else.

All of them share data, schedule, budgets and code. What makes a method is how its pool is found, which resolutions it
trains at, who teaches whom, and what its networks share.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """The switches of a method; each is also a setting of its own.

    Attributes:
        importance: What ranks channels; `uniform` takes the first of every layer, and searches nothing.
        distillation: What a network learns: `chain`, the output of the one before it; `star`, that of the largest;
            `none`, the labels.
        batch_norm: `calibrated`, one gamma and beta for all structures; `switchable`, private ones.
        networks_per_step: `sandwich`, the largest, two drawn and the smallest; `all`, every structure.
        weights: `shared`, or `separate`: every structure has weights of its own.
        all_resolutions: Whether networks are trained at all resolutions, or at the largest only.
        student_labels: Share of the labels in what students learn.
    """

    importance: str
    distillation: str
    batch_norm: str = "calibrated"
    networks_per_step: str = "sandwich"
    weights: str = "shared"
    all_resolutions: bool = False
    student_labels: float = 0.0


METHODS = {
    # The paper's, but that half of what students learn are the labels (DESIGN D26).
    "ofar": Method(importance="gamma", distillation="chain", all_resolutions=True, student_labels=0.5),
    # Universally slimmable networks: layers of equal width, the largest network teaches the others.
    "us_net": Method(importance="uniform", distillation="star"),
    # MutualNet: the same, at random resolutions.
    "mutual_net": Method(importance="uniform", distillation="star", all_resolutions=True),
    # Slimmable networks: every width in every step, on labels, with BatchNorm of its own.
    "slimmable": Method(importance="uniform", distillation="none", batch_norm="switchable", networks_per_step="all"),
    # Every structure as if it had been trained alone.
    "independent": Method(importance="uniform", distillation="none", networks_per_step="all", weights="separate"),
    # Network Slimming: a sparse whole network is cut after the search, and every piece trained on alone.
    "network_slimming": Method(importance="gamma", distillation="none", networks_per_step="all", weights="separate"),
}
