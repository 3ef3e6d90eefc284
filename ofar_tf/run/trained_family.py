"""A trained family as an object: looked at, chosen from, taken apart and exported."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.conversion.stock_networks import family_members
from ofar_tf.evaluation.pareto_figure import Chart, draw_pareto, points_of
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_export import FamilyExport
from ofar_tf.files import atomic_file
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.explanation import Explanation, explain
from ofar_tf.run.family_choice import Count, RowLimits, best_row
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.size import Resolution, Size


class Family(ABC):
    """A trained family: one supernet, and the structures that are cut out of it. `ofar_tf.load` makes one.

    In a notebook the family shows its table. For example:

        family = ofar_tf.load("runs/quickstart")
        print(family.table)
        network = family.best(max_macs="3M")  # a plain keras.Model: images 0..255 in, probabilities out
        family.export("files", precisions=["float32", "int8"])

    Args:
        trained: The pool, with its images if it has any of its own.
        class_names: The classes, in the order of the outputs; empty where they are not known.
        path: The folder that the family lies in.

    Attributes:
        class_names: The same.
        path: The same.
    """

    def __init__(self, trained: TrainedPool, *, class_names: Sequence[str], path: Path):
        self._trained = trained
        self.class_names = tuple(class_names)
        self.path = path

    @property
    def supernet(self) -> keras.Model:
        """The network that holds all others. It is not calibrated; take networks out with `best` or `network`."""
        return self._trained.supernet

    @property
    def groups(self) -> ChannelGroups:
        """The supernet's channel groups."""
        return self._trained.groups

    @property
    def pool(self) -> PrunedNetworkPool:
        """The structures, the largest first: their names, rates, masks and costs."""
        return self._trained.pool

    @property
    def resolutions(self) -> tuple[Size, ...]:
        """What the networks may see, the largest first."""
        return self._trained.resolutions

    @property
    def costs(self) -> Costs:
        """Counts multiply-adds and weights of any mask at any resolution, and predicts milliseconds for a device."""
        return Costs(self.groups, self._trained.predictor)

    @property
    @abstractmethod
    def table(self) -> PoolEvaluation:
        """Every structure at every resolution, as it was measured.

        Raises:
            FileNotFoundError: If the family was not measured yet.
            ValueError: If what was measured is of other networks.
        """

    @abstractmethod
    def evaluate(
        self,
        validation: tf.data.Dataset | None = None,
        *,
        calibration: tf.data.Dataset | None = None,
        selection: tf.data.Dataset | None = None,
        calibration_images: int = 2000,
    ) -> PoolEvaluation:
        """Calibrates and measures every structure at every resolution, and keeps the table with the family.

        The arguments are those of `ofar_tf.evaluate_pool`. The family of a run has images of its own and takes none.

        Args:
            validation: Finite batches of images at the largest resolution, 0..255, and labels.
            calibration: Batches in the same form, normally of the training images; may be endless.
            selection: Batches as `validation`, of other images, that the front is chosen by.
            calibration_images: How many images of `calibration` are used, at least 1.

        Returns:
            The table.

        Raises:
            ValueError: If images are missing or not wanted, or are not as the task takes them.
        """

    def choose(self, *, max_macs: Count | None = None, max_params: Count | None = None) -> SubnetRow:
        """Chooses the most accurate row of the table within limits, as far as the images can tell.

        Args:
            max_macs: Multiply-adds of one image, as `3e6` or `"3M"`; no limit by default.
            max_params: Number of weights, likewise.

        Raises:
            FileNotFoundError: If the family was not measured yet.
            ValueError: If nothing fits.
        """
        return best_row(self.table.rows, RowLimits(max_macs, max_params))

    def best(self, *, max_macs: Count | None = None, max_params: Count | None = None) -> keras.Model:
        """Takes out the most accurate network within limits: `network` of what `choose` returns.

        Args:
            max_macs: See `choose`.
            max_params: See `choose`.

        Returns:
            A plain Keras model of stock layers, images `[B, R, R, 3]` in 0..255 in, what files ship out: for a
            classifier the probabilities `[B, K]`.
        """
        table = self.table
        return self._cut_out(table.of([best_row(table.rows, RowLimits(max_macs, max_params))]))

    def network(self, structure: str, resolution: Resolution | None = None) -> keras.Model:
        """Takes one network out, with the BatchNorm statistics that it was measured with.

        Args:
            structure: Its name, see `pool`.
            resolution: What it is to see; the largest by default.

        Returns:
            As `best`.

        Raises:
            ValueError: If the table has no such row.
        """
        size = Size.of(resolution) if resolution is not None else self.resolutions[0]
        table = self.table
        rows = [row for row in table.rows if (row.structure, row.resolution) == (structure, size)]
        if not rows:
            names = ", ".join(network.name for network in self.pool)
            raise ValueError(
                f"Expected a structure of {names} at {', '.join(map(str, self.resolutions))} pixels. "
                f"Received: {structure!r} at {size} pixels."
            )
        return self._cut_out(table.of(rows))

    def _cut_out(self, measured: PoolEvaluation) -> keras.Model:
        (member,) = family_members(self._trained, measured, origin="")
        return member.model()

    def structure(self, name: str) -> PrunedNetwork:
        """Returns one structure of the pool: its mask, rate and costs.

        Args:
            name: Its name.

        Raises:
            ValueError: If there is none of that name.
        """
        found = {network.name: network for network in self.pool}
        if name not in found:
            raise ValueError(f"Expected a structure of {', '.join(found)}. Received: {name!r}.")
        return found[name]

    def plot(self, path: str | Path | None = None) -> Chart:
        """Draws accuracy against multiply-adds.

        Args:
            path: An image to write as well, in the format that its suffix names.

        Returns:
            A Matplotlib figure, which notebooks show.
        """
        figure = draw_pareto(points_of(self.table.rows), metric=self._trained.task.metric, title=self.supernet.name)
        if path is not None:
            with atomic_file.replacing(path) as temporary:
                figure.savefig(temporary)
        return figure

    def explain(self) -> Explanation:
        """Says which channels can be pruned, and what keeps the rest."""
        return explain(self.groups, resolution=self.resolutions[0])

    @abstractmethod
    def export(
        self,
        export_dir: str | Path,
        *,
        validation: tf.data.Dataset | None = None,
        calibration: tf.data.Dataset | None = None,
        selection: tf.data.Dataset | None = None,
        labels: Sequence[str] = (),
        only: str = "pareto",
        overwrite: bool = False,
        **options: Any,
    ) -> FamilyExport:
        """Writes the TFLite files, each one checked, with manifest, model card and report.

        Args:
            export_dir: The folder to write to.
            validation: As in `evaluate`, as for the next two.
            calibration: See there; also sets the ranges of quantized files.
            selection: See there; the front of the files is chosen by it too.
            labels: The class names; those of the family by default.
            only: `pareto` for the networks that no other beats, or `all`.
            overwrite: Whether files of another training that are there may be replaced.
            **options: The fields of `ofar_tf.ExportSpec`: precisions, workers, credits and so on.

        Returns:
            The manifest, and what failed.

        Raises:
            ValueError: If an argument makes no sense, or images are missing or not wanted.
        """

    def __repr__(self) -> str:
        structures = ", ".join(f"{network.name} ({format_quantity(network.macs)} MACs)" for network in self.pool)
        sizes = ", ".join(map(str, self.resolutions))
        return f"<Family of {self.supernet.name}: {structures}; at {sizes} pixels; {self.path}>"

    def _repr_html_(self) -> str | None:
        try:
            return self.table._repr_html_()
        except FileNotFoundError:
            return None  # Then `__repr__` is shown.


def export_options(options: dict[str, Any]) -> ExportSpec:
    """Makes the specification of an export of what was given by name.

    Args:
        options: Fields of `ExportSpec`.

    Raises:
        ValueError: If one is none of these, or makes no sense.
    """
    try:
        return ExportSpec(**options)
    except TypeError as error:
        names = ", ".join(ExportSpec.__dataclass_fields__)
        raise ValueError(f"Expected options of {names}. Received: {error}.") from None
