"""scikit-learn's interface to the networks: ``lenet.estimator.LeNetClassifier``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet import engines, training
from lenet.data import Split
from lenet.engines import Engine
from lenet.installing import how_to_install
from lenet.network import zoo
from lenet.network.architecture import Network, Normalization, from_dict, to_dict, trouble_with_name
from lenet.network.layers import ArchitectureError
from lenet.network.parameters import Parameters, State, initialize
from lenet.network.weights import pack, unpack
from lenet.optimization import (
    DEFAULT_WEIGHT_DECAY,
    Augmentation,
    Objective,
    Optimizer,
    Schedule,
    Settings,
)
from lenet.ship.rows import learn_pixels, shape_of
from lenet.training import Checkpoint, Parts, Progress
from lenet.training.calibration import probabilities

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state, compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_array,
        check_is_fitted,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        f"lenet.estimator needs scikit-learn, which cannot be imported ({error}): "
        f"{how_to_install('estimator')}"
    ) from error

STEPS: Final = 400  # that few pictures are to be learnt in, unless told otherwise
EPOCHS: Final = (10, 100)  # at least and at most, unless told otherwise
BATCHES: Final = (8, 64)  # pictures in a batch, unless told otherwise
AT_ONCE: Final = 10_000  # rows that are predicted together: made into pictures, they take memory


class LeNetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A network of the LeNet family that scikit-learn's tools take as a classifier.

    Rows of ``X`` are pictures: uint8 or other numbers (n, height, width), (n, channels, height,
    width), or flat (n, features). ``network`` "auto" is ``lenet-relu`` where the pictures are large
    enough, else ``mlp``; ``image_shape`` says how flat rows lie, ``scaling`` what 0 and 255 are
    (see ``lenet.ship.rows``). ``epochs`` and ``batch_size`` "auto" go by how many rows there
    are. ``shift`` to ``erase`` change pictures at random while it learns, as
    ``lenet.optimization.Augmentation`` says. ``class_weight`` is None, "balanced" or
    {label: weight}; ``random_state`` makes two trainings equal. Labels may be numbers or texts.

    After ``fit`` there are ``classes_``, ``n_features_in_``, ``image_shape_``, ``network_`` and
    ``parameters_``.
    """

    def __init__(
        self,
        network: str = "auto",
        *,
        image_shape: tuple[int, ...] | None = None,
        scaling: str | tuple[float, float] = "auto",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        optimizer: str = "adam",
        learning_rate: float = 0.002,
        schedule: str = "cosine",
        weight_decay: float | None = None,
        shift: int = 0,
        flip: bool = False,
        rotate: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        elastic: float = 0.0,
        erase: float = 0.0,
        label_smoothing: float = 0.0,
        class_weight: str | Mapping[Any, float] | None = None,
        engine: str = "auto",
        threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.scaling = scaling
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.shift = shift
        self.flip = flip
        self.rotate = rotate
        self.scale = scale
        self.shear = shear
        self.elastic = elastic
        self.erase = erase
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.engine = engine
        self.threads = threads
        self.random_state = random_state

    # --- learning ---

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a new network on X (n, …) and labels y (n,).

        Raises ValueError for what cannot be learnt from, TrainingError where the loss grows beyond
        numbers.
        """
        rows, targets, seen = self._learning(X, y, reset=True)
        self.classes_, labels = np.unique(targets, return_inverse=True)
        self._prepare(rows, seen)
        split = self._split(rows, labels, sample_weight)
        settings = self._settings(len(rows), self._class_weights(targets))
        self._engine = self._make(settings)
        start = Checkpoint(State(initialize(self.network_, "he", settings.seed)))
        outcome = training.fit(self._engine, Parts(split, None, None), settings, start)
        self._keep(settings, outcome.checkpoint)
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train on, one pass over X; the first call must name all ``classes``.

        The learning rate stays what it is, and what pixels mean is decided by the first X: give
        ``scaling=(low, high)`` where later ones go further. Raises ValueError as ``fit`` does, and
        for a label that was not named.
        """
        first = not hasattr(self, "_engine")
        rows, targets, seen = self._learning(X, y, reset=first)
        if first:
            if classes is None:
                raise ValueError("classes must be named when partial_fit is called first")
            self.classes_ = np.unique(np.asarray(classes))
            self._prepare(rows, seen)
        elif classes is not None and not np.array_equal(
            np.unique(np.asarray(classes)), self.classes_
        ):
            raise ValueError(
                f"classes is {classes!r:.80}; they were {self.classes_.tolist()!r:.80} before"
            )
        else:
            self._check_shape(seen)
        unknown = ~np.isin(targets, self.classes_)
        if unknown.any():
            raise ValueError(
                f"y has {targets[unknown].tolist()[0]!r}, which is not among the classes named"
            )
        split = self._split(rows, np.searchsorted(self.classes_, targets), sample_weight)
        if first:
            weights = self._class_weights(None)
            settings = replace(self._settings(len(rows), weights), epochs=1)
            schedule = replace(settings.schedule, kind="constant")
            self._settings_ = replace(settings, schedule=schedule)
            self._engine = self._make(self._settings_)
            self._passes = 0
            start = State(initialize(self.network_, "he", settings.seed))
        else:
            start = self._engine.state()
        settings = replace(
            self._settings_, epochs=self._passes + 1, batch_size=self._batch_size(len(rows))
        )
        progress = Progress(epoch=self._passes)
        parts = Parts(split, None, None)
        outcome = training.fit(self._engine, parts, settings, Checkpoint(start, progress))
        self._keep(settings, outcome.checkpoint)
        return self

    # --- predicting ---

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The label of each row of X, (n,)."""
        labels = np.argmax(self._logits(X), axis=1)
        found: NDArray[Any] = self.classes_[labels]
        return found

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each class, (n, classes), in the order of ``classes_``."""
        shares = probabilities(self._logits(X)).astype(np.float64)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def _logits(self, X: ArrayLike) -> NDArray[np.float32]:
        check_is_fitted(self, "_engine")
        flat, seen = _flat(X)
        rows = validate_data(self, flat, reset=False)
        self._check_shape(seen)
        parts = [
            self._engine.logits(self._pixels.pictures(rows[start : start + AT_ONCE]))
            for start in range(0, len(rows), AT_ONCE)
        ]
        return np.concatenate(parts)

    # --- what goes in ---

    def _learning(
        self, X: ArrayLike, y: ArrayLike, reset: bool
    ) -> tuple[NDArray[Any], NDArray[Any], tuple[int, ...] | None]:
        """Rows (n, features), targets (n,), and the shape of what were pictures already."""
        flat, seen = _flat(X)
        rows, targets = validate_data(self, flat, y, reset=reset)
        check_classification_targets(targets)
        return rows, targets, seen

    def _prepare(self, rows: NDArray[Any], seen: tuple[int, ...] | None) -> None:
        """Decide what pictures are, and which network takes them."""
        if len(self.classes_) < 2:
            raise ValueError(
                f"there is one class in the data, {self.classes_.tolist()[0]!r}; "
                "a classifier needs two"
            )
        self.image_shape_ = shape_of(rows.shape[1], self.image_shape, seen)
        self._pixels = learn_pixels(rows, self.image_shape_, self.scaling)
        network = self._build(_class_names(self.classes_))
        pictures = self._pixels.pictures(rows[:AT_ONCE]) / 255
        mean = pictures.mean(axis=(0, 2, 3))
        deviation = np.maximum(pictures.std(axis=(0, 2, 3)), 0.01)
        normal = Normalization(tuple(map(float, mean)), tuple(map(float, deviation)))
        self.network_ = replace(network, normalization=normal)

    def _build(self, names: tuple[str, ...]) -> Network:
        if not isinstance(self.network, str):
            raise ValueError(f"network is {self.network!r:.80}; give the name of one, or auto")
        if self.network != "auto":
            return zoo.build(self.network, self.image_shape_, names)
        try:
            return zoo.build("lenet-relu", self.image_shape_, names)
        except ArchitectureError:  # too small for two convolutions
            return zoo.build("mlp", self.image_shape_, names)

    def _check_shape(self, seen: tuple[int, ...] | None) -> None:
        if seen is not None and self.image_shape_ not in (seen, (1, *seen)):
            raise ValueError(f"pictures of {seen} where {self.image_shape_} were learnt from")

    def _split(
        self, rows: NDArray[Any], labels: NDArray[Any], sample_weight: ArrayLike | None
    ) -> Split:
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, rows, dtype=np.float64, ensure_non_negative=True
            )
            weights = (weights / weights.max()).astype(np.float32)
        pictures = self._pixels.pictures(rows)
        labels = labels.reshape(-1).astype(np.int64)
        return Split(pictures, labels, self.network_.classes, "X", weights)

    # --- settings ---

    def _settings(self, examples: int, class_weights: list[float]) -> Settings:
        size = self._batch_size(examples)
        epochs = self.epochs
        if isinstance(epochs, str):
            if epochs != "auto":
                raise ValueError(f"epochs is {epochs!r:.80}; give a number, or auto")
            epochs = min(max(EPOCHS[0], math.ceil(STEPS * size / examples)), EPOCHS[1])
        decay = self.weight_decay
        if decay is None:
            decay = DEFAULT_WEIGHT_DECAY.get(self.optimizer, 0.0)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return Settings(
            epochs=int(epochs),
            batch_size=size,
            seed=seed,
            optimizer=Optimizer(self.optimizer, weight_decay=decay),
            schedule=Schedule(self.schedule, self.learning_rate),
            objective=Objective(self.label_smoothing, class_weights),  # type: ignore[arg-type]
            augmentation=Augmentation(
                **{key.name: getattr(self, key.name) for key in fields(Augmentation)}
            ),
        )

    def _batch_size(self, examples: int) -> int:
        if self.batch_size == "auto":
            return min(max(BATCHES[0], examples // 16), BATCHES[1])
        if isinstance(self.batch_size, str):
            raise ValueError(f"batch_size is {self.batch_size!r:.80}; give a number, or auto")
        return int(self.batch_size)

    def _class_weights(self, targets: NDArray[Any] | None) -> list[float]:
        """One number a class; none where all count alike."""
        if self.class_weight is None:
            return []
        if targets is None:
            if self.class_weight == "balanced":
                raise ValueError(
                    'class_weight "balanced" needs all labels; give partial_fit {label: weight}'
                )
            targets = self.classes_
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=targets)
        return [float(weight) for weight in weights]

    def _make(self, settings: Settings) -> Engine:
        choice = engines.choose(self.engine, self.network_)
        return engines.make(
            choice, self.network_, settings.optimizer, settings.objective, self.threads
        )

    def _keep(self, settings: Settings, checkpoint: Checkpoint) -> None:
        self._settings_ = settings
        self._passes = checkpoint.progress.epoch
        self.n_iter_ = self._passes

    @property
    def parameters_(self) -> Parameters:
        """The weights by their names, as ``lenet.network.weights.save_network`` takes them."""
        check_is_fitted(self, "_engine")
        return self._engine.state().weights

    # --- pickles ---

    def __getstate__(self) -> dict[str, Any]:
        """Plain values, and all numbers of the network as the bytes of a safetensors file."""
        state = dict(super().__getstate__())
        engine: Engine | None = state.pop("_engine", None)
        if engine is None:
            return state
        held = engine.state()
        tensors = {f"parameters.{name}": value for name, value in held.parameters.items()}
        for moment, values in held.moments.items():
            tensors |= {f"{moment}.{name}": value for name, value in values.items()}
        metadata = {"network": to_dict(state.pop("network_")), "step": held.step}
        return {**state, "_content": pack(tensors, metadata)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        content = state.pop("_content", None)
        super().__setstate__(state)
        if content is None:
            return
        tensors, metadata = unpack(content, "the pickled classifier")
        self.network_ = from_dict(metadata["network"])
        parts: dict[str, Parameters] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor
        self._engine = self._make(self._settings_)
        parameters = parts.pop("parameters")
        self._engine.load(State(parameters, parts, step=int(metadata["step"])))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags


def _flat(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """X as rows, and the shape of a picture where they were pictures."""
    dimensions = getattr(X, "ndim", None)
    if dimensions is None and isinstance(X, list | tuple):
        dimensions = np.ndim(X) if len(X) else 1
    if dimensions is None or dimensions not in (3, 4):
        return X, None  # scikit-learn says what is wrong with it, if anything
    array = check_array(X, ensure_2d=False, allow_nd=True)
    shape = tuple(int(side) for side in array.shape[1:])
    return array.reshape(len(array), -1), shape


def _class_names(classes: NDArray[Any]) -> tuple[str, ...]:
    """Texts for the labels, as a network keeps them."""
    names = tuple(str(label) for label in classes.tolist())
    usable = all(name and not trouble_with_name(name) for name in names)
    if usable and len(set(names)) == len(names):
        return names
    return tuple(f"class {index}" for index in range(len(names)))


__all__ = ["LeNetClassifier"]
