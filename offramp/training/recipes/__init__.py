"""Recipes by which exits are trained. They need torch."""

from offramp.choices import choose
from offramp.training.recipes.frozen import Frozen
from offramp.training.recipes.hierarchical_distillation import HierarchicalDistillation
from offramp.training.recipes.joint import Joint
from offramp.training.recipes.joint_gates import JointGates
from offramp.training.recipes.label_free import LabelFree
from offramp.training.recipes.recipe import Answers, Recipe, Stage, share_epochs
from offramp.training.recipes.two_stage import TwoStage

__all__ = ["RECIPES", "Answers", "Recipe", "Stage", "get", "share_epochs"]

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Frozen(), Joint(), TwoStage(), HierarchicalDistillation(), JointGates(), LabelFree(),
    )
}  # fmt: skip


def get(name: str) -> Recipe:
    """Return a recipe by name; raise `ConfigError` if it is unknown."""
    return choose("training recipe", name, RECIPES)
