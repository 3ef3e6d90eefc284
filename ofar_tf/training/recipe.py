"""What suits a network and its images, where nobody says: how long and how fast it learns."""

from dataclasses import dataclass
from typing import Any, Self

import keras

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.search.search_length import usual_search_epochs
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.optimizer_state import OPTIMIZERS, build_optimizer
from ofar_tf.training.schedules import SearchThenDecay
from ofar_tf.training.step_spec import StepSpec

_BATCH_SIZES = (16, 32, 64, 128)
# Steps of an epoch that a batch should leave.
_STEPS = 60


@dataclass(frozen=True)
class Recipe:
    """Settings of a run that belong together. Make one with `usual` or `finetune`, which fill in what is not given.

    Attributes:
        epochs: Epochs of the run, those of the head and of the search included.
        batch_size: Images of a step.
        learning_rate: Of the head, at which joint training starts.
        optimizer: `sgd`, with Nesterov momentum, or `adamw`.
        body_learning_rate: Of everything but the head, as a share of `learning_rate`.
        head_epochs: Epochs at the start in which the head learns alone.
        warmup_epochs: Epochs over which the rate rises after that.
        search_epochs: Most epochs of the search; None for a third of those behind the head's, at most 10.
        search_networks: What a step of the search trains, see `StepSpec`.
        ema_momentum: Of the moving averages of the weights; None for none.
        importance: What ranks channels; None for what the method has.
        gamma_l1: L1 penalty on ranked gammas during the search; criteria that do not rank by gammas have none.

    Raises:
        ValueError: If one makes no sense.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str = "sgd"
    body_learning_rate: float = 1.0
    head_epochs: int = 0
    warmup_epochs: float = 0.0
    search_epochs: int | None = None
    search_networks: str = "largest"
    ema_momentum: float | None = None
    importance: str | None = None
    gamma_l1: float = 1e-4

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"Expected an optimizer of {', '.join(OPTIMIZERS)}. Received: {self.optimizer!r}.")
        if min(self.epochs, self.batch_size) < 1 or not self.learning_rate > 0.0:
            raise ValueError(
                "Expected at least one epoch, one image in a batch and a positive learning rate. "
                f"Received: epochs={self.epochs}, batch_size={self.batch_size}, learning_rate={self.learning_rate}."
            )

    @property
    def epochs_of_search(self) -> int:
        """Most epochs of the search: `search_epochs`, or the usual ones."""
        return usual_search_epochs(self.epochs - self.head_epochs) if self.search_epochs is None else self.search_epochs

    def pool_spec(self, **more: Any) -> PoolSpec:
        """Says what the pool is to be.

        Args:
            **more: What `PoolSpec.of` takes: budgets, resolutions and so on.
        """
        chosen: dict[str, Any] = {"importance": self.importance} if self.importance else {}
        return PoolSpec.of(**{**chosen, **more})

    def step_spec(self, **more: Any) -> StepSpec:
        """Says what a step does.

        Args:
            **more: Other settings of `StepSpec`.
        """
        return StepSpec(
            head_epochs=self.head_epochs,
            body_learning_rate=self.body_learning_rate,
            decoupled_weight_decay=self.optimizer == "adamw",
            gamma_l1=self.gamma_l1,
            **{"search_networks": self.search_networks, **more},
        )

    def optimizer_of(self, model: OnceForAll, *, steps_per_epoch: int) -> Any:
        """Makes the optimizer, its learning rate following the phases of a model.

        Args:
            model: The model that is to be compiled with it.
            steps_per_epoch: Steps of an epoch, at least 1.

        Returns:
            A Keras optimizer.
        """
        schedule = SearchThenDecay(
            self.learning_rate,
            search=self.learning_rate,
            search_steps=model.search_steps,
            total_steps=self.epochs * steps_per_epoch,
            warmup_steps=round(self.warmup_epochs * steps_per_epoch),
            head_steps=self.head_epochs * steps_per_epoch,
        )
        return build_optimizer(self.optimizer, schedule, ema_momentum=self.ema_momentum)

    def fit(self, model: OnceForAll, x: Any, *, steps_per_epoch: int, **more: Any) -> keras.callbacks.History:
        """Searches and trains a model as the recipe says: compiles it, and calls `fit` for all epochs.

        Args:
            model: A model of this recipe's `step_spec`, and as a rule of its `pool_spec`.
            x: A data set of batches of `batch_size` images, as `OnceForAll.fit` takes it.
            steps_per_epoch: Steps of an epoch, at least 1.
            **more: Other arguments of `OnceForAll.fit`. A `MaskSearch` among its callbacks takes the place of the
                recipe's.

        Returns:
            The history of the losses.

        Raises:
            ValueError: As `OnceForAll.fit`.
        """
        model.compile(self.optimizer_of(model, steps_per_epoch=steps_per_epoch))
        callbacks = keras.tree.flatten(more.pop("callbacks", None) or [])
        if not any(isinstance(each, MaskSearch) for each in callbacks):
            callbacks.insert(0, MaskSearch(epochs=self.epochs_of_search))
        return model.fit(x, epochs=self.epochs, steps_per_epoch=steps_per_epoch, callbacks=callbacks, **more)

    @classmethod
    def usual(cls, *, images: int, pretrained: bool = False, **given: Any) -> Self:
        """Returns a recipe for a number of images.

        A batch leaves about 60 steps in an epoch, 16 to 128 images. Training from random weights takes 90 to 200
        epochs, about two million images where that lies between; from pretrained ones 10 to 30, about 60,000 images.
        The rate of SGD follows the batch: 0.1 for 128 images from random weights, and a fifth of it from pretrained
        ones.

        Args:
            images: How many images there are to train on, at least 1.
            pretrained: Whether the weights were trained before.
            **given: Attributes that are not to be chosen; the others follow from them.

        Raises:
            ValueError: If there are no images.
        """
        if images < 1:
            raise ValueError(f"Expected at least one image to train on. Received: images={images}.")
        batch_size = given.get("batch_size") or _batch_size(images)
        total, least, most = (60_000, 10, 30) if pretrained else (2_000_000, 90, 200)
        rate = (0.02 if pretrained else 0.1) * batch_size / 128
        chosen = {
            "epochs": min(most, max(least, round(total / images))),
            "batch_size": batch_size,
            "learning_rate": 1e-3 if given.get("optimizer") == "adamw" else float(f"{rate:.3g}"),
        }
        return cls(**{**chosen, **given})

    @classmethod
    def finetune(cls, *, images: int, **given: Any) -> Self:
        """Returns a recipe for a pretrained network that gets a new head.

        The head learns alone for an epoch, since its random weights would spoil the body. Then everything learns, by
        AdamW, whose steps do not depend on how large the sum of the networks' gradients is; the body at a third of the
        head's rate, after a warm-up of an epoch. The search is short and ranks by `taylor_adaptive`: no penalty had
        the time to push the gammas apart. It trains the sandwich: of so few epochs the smallest network misses each.
        Moving averages over about an epoch take the place of a long decay.

        Args:
            images: As in `usual`.
            **given: As in `usual`.

        Raises:
            ValueError: If there are no images.
        """
        given = {"optimizer": "adamw", **given}
        basis = cls.usual(images=images, pretrained=True, **given)
        head_epochs = given.get("head_epochs", 1 if basis.epochs > 2 else 0)
        steps = max(images // basis.batch_size, 1)
        chosen = {
            "body_learning_rate": 0.3 if basis.optimizer == "adamw" else 0.1,
            "head_epochs": head_epochs,
            "warmup_epochs": min(1.0, basis.epochs - head_epochs),
            "search_epochs": min(max(2, round(basis.epochs / 6)), max(basis.epochs - head_epochs - 1, 0)),
            "search_networks": "sandwich",
            "ema_momentum": round(min(max(1.0 - 1.0 / steps, 0.9), 0.9999), 4),
            "importance": "taylor_adaptive",
        }
        return cls(**{**vars(basis), **chosen, **given})


def _batch_size(images: int) -> int:
    """Returns the largest usual batch that leaves enough steps; all images where they are fewer than any."""
    fitting = [size for size in _BATCH_SIZES if size * _STEPS <= images]
    return min(max(fitting, default=_BATCH_SIZES[0]), images)
