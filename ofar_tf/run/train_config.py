"""What a run is: every setting of `ofar train`, checked on construction, without TensorFlow.

Each field is one flag: its name, its default, its help and its bounds stand in `train_settings` and nowhere else.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ofar_tf.run.flagfile import FLAGFILE_OF_A_RUN
from ofar_tf.run.methods import METHODS
from ofar_tf.run.settings import setting
from ofar_tf.run.train_settings.data_settings import DataSettings
from ofar_tf.run.train_settings.detection_settings import DetectionSettings
from ofar_tf.run.train_settings.model_settings import ModelSettings
from ofar_tf.run.train_settings.pool_settings import PoolSettings
from ofar_tf.run.train_settings.record_settings import RecordSettings
from ofar_tf.run.train_settings.schedule_settings import ScheduleSettings
from ofar_tf.run.train_settings.step_settings import StepSettings
from ofar_tf.run.train_settings.task_settings import TaskSettings
from ofar_tf.search.search_length import usual_search_epochs
from ofar_tf.text.command_line import command_line
from ofar_tf.text.size import Size

# XLA takes a minute and more for a network of ImageNet's size.
_MOST_COMPILED = 200
# What varies and weighs images that show one thing each, and the last layers of a network that tells their classes.
_FOR_CLASSES = (
    "mixup_alpha",
    "cutmix_alpha",
    "rand_augment_layers",
    "label_smoothing",
    "class_weight",
    "student_labels",
    "distillation_divergence",
    "eval_resize",
    "teacher",
    "new_head",
    "dropout",
)
LEFT_TO_METHOD = ("importance", "distillation", "batch_norm", "networks_per_step", "weights", "student_labels")
"""Settings that are the method's to say where nobody gave them."""


@dataclass(frozen=True)
class TrainConfig(
    DetectionSettings,
    RecordSettings,
    ScheduleSettings,
    StepSettings,
    PoolSettings,
    ModelSettings,
    DataSettings,
    TaskSettings,
):
    """The settings of `ofar train`; saved with the run, and read by every later command."""

    FIRST: ClassVar[tuple[str, ...]] = (
        "run_dir",
        "dataset",
        "data_dir",
        "model",
        "pretrained",
        "macs_budgets",
        "resolutions",
        "epochs",
        "batch_size",
        "learning_rate",
    )

    run_dir: str = setting("", "Folder of the run: everything about it is saved here.", free=True)
    explain: bool = setting(
        False, "Print the channel groups of the model and what cannot be pruned; no run.", free=True
    )
    plan: bool = setting(False, "Print what each structure will cost at each resolution; no run.", free=True)
    write_groups: str | None = setting(None, "Write the channel groups to this new JSON file; no run.", free=True)

    @property
    def only_looks(self) -> bool:
        """Whether the command only prints or writes what it found, and begins no run."""
        return self.explain or self.plan or self.write_groups is not None

    @property
    def has_budgets(self) -> bool:
        """Whether it says what structures may cost."""
        return self.budgets_given > 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.run_dir and not self.only_looks:
            raise ValueError("Expected --run_dir, the folder of the run. Received: none.")
        self._check_kind_of_budgets()
        self._check_task()
        self._check_schedule()
        self._check_step()

    def _check_kind_of_budgets(self) -> None:
        given = [list(values) for values in (self.pruning_rates, self.macs_budgets, self.budgets) if values]
        if len(given) > 1 or not (given or self.only_looks or self.takes_structures):
            raise ValueError(
                "Expected one of --pruning_rates, --macs_budgets and --budgets. "
                f"Received: {' and '.join(map(str, given)) or 'none'}{'' if given else self._way_on()}."
            )

    def _way_on(self) -> str:
        """Says how the run in the folder goes on, whose settings are not all given again."""
        own = Path(self.run_dir) / FLAGFILE_OF_A_RUN
        again = command_line("train", flagfile=own, run_dir=self.run_dir)
        return f"; the run that is there goes on by {again}" if own.is_file() else ""

    def _check_task(self) -> None:
        if self.detects:
            self._refuse_class_settings()
        if self.backbone_run_dir is not None and (not self.detects or self.pretrained != "none"):
            raise ValueError(
                "Expected --backbone_run_dir with --task=detection, in the place of --pretrained. "
                f"Received: task={self.task}, pretrained={self.pretrained}."
            )
        if not self.detects and not all(Size.of(size).is_square for size in self.resolutions):
            raise ValueError(
                "Expected square --resolutions with --task=classification. "
                f"Received: {', '.join(map(str, self.resolutions))}."
            )
        if not self.detects:
            self._refuse_detection_settings()

    def _refuse_class_settings(self) -> None:
        """Refuses settings that detection would silently ignore."""
        given = [name for name in _FOR_CLASSES if getattr(self, name) not in (0, None, "none", "forward")]
        if given:
            raise ValueError(
                f"Expected no --{given[0]} with --task=detection, which has no use for it. "
                f"Received: {given[0]}={getattr(self, given[0])}."
            )

    def _refuse_detection_settings(self) -> None:
        """Refuses settings of detectors where `--task=detection` was forgotten."""
        for field in dataclasses.fields(DetectionSettings):
            # What is left open by default had another default in runs of older versions.
            if not field.metadata["suggested"] and getattr(self, field.name) != field.default:
                raise ValueError(
                    f"Expected --task=detection with --{field.name}, which is for detectors. "
                    f"Received: task={self.task}."
                )

    def _check_schedule(self) -> None:
        if "epochs" in self.left_open:  # Checked again when it is known.
            return
        head, search = self.head_epochs or 0, self.search_epochs
        if head >= self.epochs or (search is not None and head + search >= self.epochs):
            raise ValueError(
                "Expected fewer --search_epochs, with --head_epochs, than --epochs, which count joint training too. "
                f"Received: search_epochs={search}, head_epochs={head}, epochs={self.epochs}."
            )
        if (self.warmup_epochs or 0.0) > self.epochs - head:
            raise ValueError(
                f"Expected at most {self.epochs - head} --warmup_epochs, of {self.epochs} epochs. "
                f"Received: {self.warmup_epochs}."
            )
        if self.optimizer == "adamw" and self.gamma_shrink is not None:
            raise ValueError(
                "Expected --gamma_shrink with --optimizer=sgd, whose steps a penalty can be computed for. "
                f"Received: optimizer={self.optimizer}."
            )

    def _check_step(self) -> None:
        if self.finetune_structures and (self.weights or METHODS[self.method].weights) == "separate":
            raise ValueError(
                "Expected --finetune_structures with shared weights: separate ones train alone from the search on. "
                f"Received: finetune_structures={self.finetune_structures}, method={self.method}, "
                f"weights={self.weights}."
            )
        if self.rank_by == "ema" and self.ema_momentum is None:
            raise ValueError("Expected --ema_momentum with --rank_by=ema. Received: none.")
        networks = self.networks_to_compile
        if networks > _MOST_COMPILED:
            raise ValueError(
                f"Expected at most {_MOST_COMPILED} networks for --jit_compile: one for each structure, resolution "
                f"and, with --search_execution=sliced, epoch of the search. Received: {networks}."
            )
        if (self.batch_size or 0) % self.gradient_accumulation:
            raise ValueError(
                "Expected a --batch_size that --gradient_accumulation divides. "
                f"Received: batch_size={self.batch_size}, gradient_accumulation={self.gradient_accumulation}."
            )

    @property
    def takes_structures(self) -> bool:
        """Whether the structures are those of another run."""
        return self.detects and self.backbone_run_dir is not None and not self.has_budgets

    @property
    def single_budget(self) -> bool:
        """Whether it says so of one structure only."""
        return self.budgets_given == 1

    @property
    def budgets_given(self) -> int:
        """Of how many structures it says what they may cost."""
        return len(self.pruning_rates) + len(self.macs_budgets) + len(self.budgets)

    @property
    def networks_to_compile(self) -> int:
        """How many networks XLA compiles: shapes are fixed when it does, and a mask that has changed is a new one."""
        if not self.jit_compile or "epochs" in self.left_open:
            return 0
        structures = 3 if self.single_budget else self.budgets_given
        joint = structures * len(self._training_resolutions) * (2 if self.finetune_structures else 1)
        searches = self.epochs_of_search if self.search_execution == "sliced" else 1
        return joint + structures * max(len(self.search_resolutions), 1) * searches

    @property
    def all_epochs(self) -> int:
        """The epochs of search, joint training and fine-tuning."""
        return self.epochs + self.finetune_structures

    @property
    def epochs_of_search(self) -> int:
        """Most epochs of the search: as given, or a third of all, which leaves at least one of joint training."""
        if self.takes_structures:
            return 0
        if self.search_epochs is not None:
            return self.search_epochs
        return usual_search_epochs(self.epochs - (self.head_epochs or 0))

    @property
    def _training_resolutions(self) -> tuple[int | Size, ...]:
        largest = tuple(sorted(self.resolutions, reverse=True)[:1])
        return self.training_resolutions or (self.resolutions if METHODS[self.method].all_resolutions else largest)

    @property
    def _student_labels(self) -> float | None:
        left_to_method = self.student_labels is None and not self.detects
        return METHODS[self.method].student_labels if left_to_method else self.student_labels

    def resolved(self) -> "TrainConfig":
        """Returns the same configuration with every setting that was left to the method as the method has it."""
        method = METHODS[self.method]
        values = {name: getattr(self, name) or getattr(method, name) for name in LEFT_TO_METHOD}
        values["student_labels"] = self._student_labels  # Nought is a value, and detectors have none.
        values["search_epochs"] = self.search_epochs if "epochs" in self.left_open else self.epochs_of_search
        values["training_resolutions"] = self._training_resolutions
        return dataclasses.replace(self, **values)
