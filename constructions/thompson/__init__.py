"""Thompson sampling as a transformer."""

from constructions.thompson.spec import Spec

__all__ = ["Spec"]
