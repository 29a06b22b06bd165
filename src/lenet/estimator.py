"""scikit-learn's interface: ``from lenet.estimator import LeNetClassifier``."""

from lenet.ship.estimator import LeNetClassifier

__all__ = ["LeNetClassifier"]
