"""Learned stockout flag: the chance that an item runs out, from features known on the day.

Two kinds of trees that err in different ways are averaged in log odds: boosted trees on the features and the log ratios
of the amounts among them (stock over forecast, sales of three months over nine), and extremely randomised trees (Geurts
et al. 2006) on ranks, with a column of its own for each feature that is sometimes missing. Both are regularised and
neither stops early, so nothing depends on a validation split. The features come from `stockout_features`, or from the
user.

The class is a scikit-learn estimator (`sklearn.utils.estimator_checks.check_estimator` passes), so this module is the
one that loads scikit-learn; the package imports it only where a classifier is asked for. Labels are two values; the
larger one is the event. Probabilities are shares from 0 to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from backorder_forecast.errors import InvalidSettings, unknown_option
from backorder_forecast.probabilities import applied_curve, corrected_prior, fitted_curve, log_loss, log_odds, share
from backorder_forecast.scores import auc, expected_calibration_error

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CALIBRATIONS = ("auto", "none", "sigmoid", "isotonic")
WORST_ECE = 0.04
"""Expected calibration error on held-out rows above which "auto" calibrates."""
_LEAST_EVENTS = 50
_ISOTONIC_EVENTS = 300
_FOLDS = 3
_DISTINCT = 25
_LEAST_AMOUNT = 5.0
_NO_VALUE = -3.14159e15
_BOOSTING = {
    "max_leaf_nodes": 10, "min_samples_leaf": 25, "l2_regularization": 5.0, "max_features": 0.3,
    "early_stopping": False,
}  # fmt: skip
_LEARNED = 8.0
"""Learning rate times rounds; fewer rounds take larger steps."""
_FOREST = {"max_features": 0.4}
_LEAVES, _USUAL_LEAF = (2, 4, 8), 4


class StockoutClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Chance of a stockout from features of the day; scikit-learn's `fit`, `predict_proba`, `predict`.

    Parameters
    ----------
    prevalence
        Share of events in the population, where the training rows are not a plain sample of it (case-control data):
        the odds are corrected by prior odds over sample odds (Saerens et al. 2002, eq. 2.4). None: no correction.
    calibration
        "auto" holds out parts of the training rows and calibrates only where the expected calibration error there is
        above 0.04 and calibrating lowers the log loss; "sigmoid" (Platt 1999) and "isotonic" always; "none" never.
    ratios
        Log ratios are formed between so many amounts: the features with many values beyond a share that tell most on
        their own. 0 for none.
    n_rounds
        Rounds of boosting; with fewer rounds each counts more.
    n_boosted
        Boosted models that are averaged; each picks other features at its splits.
    n_trees
        Randomised trees.
    min_leaf
        Fewest rows in a leaf of these: few suit clear features, many suit noise. None chooses 2, 4 or 8 by the log
        loss on held-out training rows.
    random_state
        Seed; same rows in any order and same seed, same probabilities.

    Attributes
    ----------
    classes_
        The two labels, sorted; the second is the event.
    n_features_in_, feature_names_in_
        Number of features, and their names where a frame was given.
    sample_prevalence_
        Share of events in the training rows.
    min_leaf_
        Fewest rows in a leaf of the randomised trees, as given or chosen.
    calibration_
        What was applied: none, sigmoid, isotonic.
    calibration_reason_
        Why, in words.
    validation_
        Figures on held-out training rows: rows, events, ece, auc; empty where nothing was held out.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cover = rng.uniform(0, 60, 600)
    >>> ran_out = rng.random(600) < np.exp(-cover / 10)
    >>> model = StockoutClassifier(n_rounds=40, n_trees=20).fit(pd.DataFrame({"cover_days": cover}), ran_out)
    >>> low, high = model.predict_proba(pd.DataFrame({"cover_days": [2.0, 50.0]}))[:, 1]
    >>> bool(low > 0.6), bool(high < 0.1)
    (True, True)
    """

    def __init__(
        self, *, prevalence: float | None = None, calibration: str = "auto", ratios: int = 12, n_rounds: int = 180,
        n_boosted: int = 3, n_trees: int = 240, min_leaf: int | None = None, random_state: int = 0,
    ) -> None:  # fmt: skip
        self.prevalence = prevalence
        self.calibration = calibration
        self.ratios = ratios
        self.n_rounds = n_rounds
        self.n_boosted = n_boosted
        self.n_trees = n_trees
        self.min_leaf = min_leaf
        self.random_state = random_state

    def fit(
        self, X: Any, y: ArrayLike, groups: ArrayLike | None = None, times: ArrayLike | None = None
    ) -> StockoutClassifier:
        """Learn from rows of features and whether the event followed.

        Parameters
        ----------
        X
            Features, shape (n_rows, n_features). Missing values are welcome; in a frame, columns of text, categories
            and flags are too.
        y
            Two labels, shape (n_rows,); the larger one (True, 1, "Yes") is the event.
        groups
            Rows that belong together (one item), shape (n_rows,): they are held out together. By default rows with
            the same features.
        times
            When each row was known, shape (n_rows,): held out are then later rows than those learned from, as in use.

        Raises
        ------
        InvalidSettings
            An option outside its range.
        ValueError
            Labels of another kind, infinite values, shapes that do not fit, as scikit-learn words it.
        """
        self._check_options()
        self._category_codes: dict[str, dict[Any, int]] = {}
        X = self._numbers(X, learn=True)
        features, labels = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        check_classification_targets(labels)
        kind = type_of_target(labels, input_name="y")
        if kind != "binary":
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        classes, event = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"two classes are needed to learn from, y has one class only: {classes[0]}")
        keys = [np.asarray(k) for k in (groups, times) if k is not None]
        check_consistent_length(features, *keys)
        self.classes_ = classes
        # Trees add up in the order of the rows: put them in an order of their own first.
        time_code = np.zeros(len(event), dtype=np.int64) if times is None else _codes(times)
        group_code = _same_rows(features) if groups is None else _codes(groups)
        order = np.lexsort((*features.T[::-1], group_code if groups is not None else time_code, event, time_code))
        features, event = features[order], event[order].astype(np.int64)
        group_code, time_code = group_code[order], time_code[order]
        self.sample_prevalence_ = float(event.mean())
        self._prepare(features, event)
        held, rows = self._held_out(features, event, group_code, time_code if times is not None else None)
        self.min_leaf_ = self.min_leaf or min(
            held, key=lambda leaf: log_loss(share(held[leaf]), event[rows]), default=_USUAL_LEAF
        )
        self._choose_calibration(held.get(self.min_leaf_, np.empty(0)), event[rows])
        self._members = (
            self._boosted(features, event, self.n_boosted),
            self._forest(features, event, self.n_trees, self.min_leaf_),
        )
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of no event and of the event, shape (n_rows, 2)."""
        check_is_fitted(self, "classes_")
        X = self._numbers(X, learn=False)
        features = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        p = self._calibrated(self._score(features))
        if self.prevalence is not None:
            p = corrected_prior(p, self.sample_prevalence_, self.prevalence)
        return np.column_stack([1.0 - p, p])

    def predict(self, X: Any) -> NDArray[Any]:
        """The likelier label, shape (n_rows,)."""
        event = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[event.astype(np.int64)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags

    # --- parts

    def _check_options(self) -> None:
        if self.calibration not in CALIBRATIONS:
            raise unknown_option("calibration", str(self.calibration), CALIBRATIONS)
        if self.prevalence is not None and not 0.0 < self.prevalence < 1.0:
            raise InvalidSettings(f"prevalence is a share strictly between 0 and 1, got {self.prevalence!r}")
        for name in ("n_rounds", "n_boosted", "n_trees"):
            if getattr(self, name) < 1:
                raise InvalidSettings(f"{name} is at least 1, got {getattr(self, name)!r}")
        if self.ratios < 0:
            raise InvalidSettings(f"ratios is 0 or more, got {self.ratios!r}")
        if self.min_leaf is not None and self.min_leaf < 1:
            raise InvalidSettings(f"min_leaf is None or at least 1, got {self.min_leaf!r}")

    def _numbers(self, X: Any, *, learn: bool) -> Any:
        """A frame with text, categories and flags as numbers; anything else as it is."""
        if not isinstance(X, pd.DataFrame):
            return X
        columns: dict[Any, Any] = {}
        for name in X.columns:
            column = X[name]
            if isinstance(column, pd.DataFrame) or pd.api.types.is_numeric_dtype(column.dtype):
                continue
            if pd.api.types.is_datetime64_any_dtype(column.dtype):
                raise InvalidSettings(f"column {name!r} holds dates: turn them into days before as_of, or a season")
            if learn:
                known = sorted(column.dropna().astype("str").unique())
                self._category_codes[name] = {value: code for code, value in enumerate(known)}
            columns[name] = column.astype("str").map(self._category_codes.get(name, {})).where(column.notna())
        changed = X.assign(**{str(k): v.astype(np.float64) for k, v in columns.items()}) if columns else X
        nullable = [c for c in changed.columns if isinstance(changed.dtypes[c], pd.api.extensions.ExtensionDtype)]
        return changed.astype(dict.fromkeys(nullable, np.float64)) if nullable else changed

    def _prepare(self, features: Floats, event: Ints) -> None:
        """What is learned of each feature alone: the amounts that ratios are formed of, ranks, and gaps."""
        self._amounts = _most_telling(features, event, self.ratios)
        self._sorted = [np.sort(column[~np.isnan(column)]) for column in features.T]
        self._gaps = np.flatnonzero(np.isnan(features).any(axis=0))

    def _boosted(self, features: Floats, event: Ints, count: int) -> list[Any]:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        steps = {"max_iter": self.n_rounds, "learning_rate": min(_LEARNED / self.n_rounds, 0.3)}
        ratios = self._with_ratios(features)
        # A feature that none of these rows has would stop the binning; a constant is never split on.
        ratios = np.where(np.isnan(ratios).all(axis=0), 0.0, ratios)
        seeds = [self.random_state + k for k in range(count)]
        # More threads than one save little here and cost much where cores are shared.
        with threadpool_limits(limits=1):
            return [
                HistGradientBoostingClassifier(random_state=seed, **steps, **_BOOSTING).fit(ratios, event)
                for seed in seeds
            ]

    def _forest(self, features: Floats, event: Ints, count: int, min_leaf: int) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier

        trees = ExtraTreesClassifier(count, min_samples_leaf=min_leaf, random_state=self.random_state, **_FOREST)
        return trees.fit(self._ranks(features), event)

    def _boosted_score(self, boosted: list[Any], features: Floats) -> Floats:
        from threadpoolctl import threadpool_limits

        ratios = self._with_ratios(features)
        with threadpool_limits(limits=1):
            return np.asarray(np.mean([log_odds(model.predict_proba(ratios)[:, 1]) for model in boosted], axis=0))

    def _score(self, features: Floats) -> Floats:
        """Mean log odds of the two members."""
        boosted, forest = self._members
        in_forest = log_odds(forest.predict_proba(self._ranks(features))[:, 1])
        return np.asarray((self._boosted_score(boosted, features) + in_forest) / 2.0)

    def _with_ratios(self, features: Floats) -> Floats:
        if len(self._amounts) < 2:
            return features
        amounts = features[:, self._amounts]
        logs = np.sign(amounts) * np.log1p(np.abs(amounts))
        first, second = np.triu_indices(logs.shape[1], k=1)
        return np.hstack([features, logs[:, first] - logs[:, second]])

    def _ranks(self, features: Floats) -> Floats:
        """Share of training rows below, missing ones in the middle, and a column per feature that has gaps."""
        out = np.full((len(features), len(self._sorted) + len(self._gaps)), 0.5)
        for j, known in enumerate(self._sorted):
            column = features[:, j]
            here = ~np.isnan(column)
            if len(known):
                low, high = (np.searchsorted(known, column[here], side) for side in ("left", "right"))
                out[here, j] = (low + high) / (2.0 * len(known))
        out[:, len(self._sorted) :] = np.isnan(features[:, self._gaps])
        return out

    def _held_out(
        self, features: Floats, event: Ints, groups: Ints, times: Ints | None
    ) -> tuple[dict[int, Floats], Ints]:
        """Log odds of rows that were not learned from, by fewest rows in a leaf, and which rows these are."""
        leaves = (self.min_leaf,) if self.min_leaf else _LEAVES
        self._why_not = ""
        parts: list[tuple[Ints, Ints]] = []
        if self.calibration == "none" and self.min_leaf:
            self._why_not = "not asked for"
        elif min(event.sum(), len(event) - event.sum()) < _LEAST_EVENTS:
            self._why_not = f"fewer than {_LEAST_EVENTS} events or others to validate on"
        else:
            parts = [] if times is None else _later_parts(times)
            if not any(_both(event[learned]) for learned, _ in parts):
                parts = _group_parts(event, groups, self.random_state)
            parts = [part for part in parts if _both(event[part[0]])]
            self._why_not = "" if parts else "the groups leave nothing to validate on"
        scores: dict[int, list[Floats]] = {leaf: [] for leaf in leaves}
        for learned, held in parts:
            rows, label = features[learned], event[learned]
            boosted = self._boosted_score(self._boosted(rows, label, 1), features[held])
            ranks = self._ranks(features[held])
            for leaf in leaves:
                forest = self._forest(rows, label, max(self.n_trees // 3, 1), leaf)
                scores[leaf].append((boosted + log_odds(forest.predict_proba(ranks)[:, 1])) / 2.0)
        if not parts:
            return {}, np.empty(0, dtype=np.int64)
        return {leaf: np.concatenate(s) for leaf, s in scores.items()}, np.concatenate([p[1] for p in parts])

    def _choose_calibration(self, held: Floats, event: Ints) -> None:
        self.calibration_, self.calibration_reason_, self.validation_ = "none", self._why_not, {}
        self._curve: Any = None
        if not len(held) or not _both(event):
            return
        ece = expected_calibration_error(share(held), event)
        self.validation_ = {
            "rows": float(len(event)), "events": float(event.sum()), "ece": float(ece), "auc": float(auc(held, event)),
        }  # fmt: skip
        words = f"expected calibration error {ece:.3f} on {len(event):,} held-out rows"
        if self.calibration == "none":
            self.calibration_reason_ = "not asked for"
            return
        if self.calibration == "auto" and ece <= WORST_ECE:
            self.calibration_reason_ = f"{words}: not above {WORST_ECE}"
            return
        kind = self.calibration
        if kind == "auto":
            # Two halves judge each other: a curve is not scored on the rows it was drawn through.
            half = np.arange(len(event)) % 2 == 0
            names = ["sigmoid", "isotonic"] if event.sum() >= _ISOTONIC_EVENTS else ["sigmoid"]
            losses = {"none": log_loss(share(held), event)}
            for name in names:
                crossed = np.empty(len(held))
                for learn in (half, ~half):
                    crossed[~learn] = applied_curve(fitted_curve(name, held[learn], event[learn]), held[~learn])
                losses[name] = log_loss(crossed, event)
            kind = min(losses, key=lambda name: losses[name])
            words += f", above {WORST_ECE}" + ("; no curve lowers the loss" if kind == "none" else "")
        self.calibration_, self.calibration_reason_ = kind, words
        self._curve = None if kind == "none" else fitted_curve(kind, held, event)

    def _calibrated(self, score: Floats) -> Floats:
        return share(score) if self._curve is None else applied_curve(self._curve, score)


def _both(event: Ints) -> bool:
    return bool(0 < event.sum() < len(event))


def _codes(values: ArrayLike) -> Ints:
    return np.asarray(np.unique(np.asarray(values), return_inverse=True)[1], dtype=np.int64).ravel()


def _same_rows(features: Floats) -> Ints:
    """One number per distinct row of features."""
    filled = np.nan_to_num(features, nan=_NO_VALUE)
    return np.asarray(np.unique(filled, axis=0, return_inverse=True)[1], dtype=np.int64).ravel()


def _later_parts(times: Ints) -> list[tuple[Ints, Ints]]:
    """Rows of the first two fifths of time and what follows them, then three fifths, then four."""
    bounds = np.quantile(np.unique(times), [0.4, 0.6, 0.8], method="lower")
    ends = [*bounds[1:], times.max()]
    spans = zip(bounds, ends, strict=True)
    parts = [(np.flatnonzero(times <= a), np.flatnonzero((times > a) & (times <= b))) for a, b in spans]
    return [p for p in parts if len(p[1])]


def _group_parts(event: Ints, groups: Ints, seed: int) -> list[tuple[Ints, Ints]]:
    from sklearn.model_selection import StratifiedGroupKFold

    if len(np.unique(groups)) < _FOLDS:
        return []
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(groups[:, None], event, groups)
    return [(np.asarray(a), np.asarray(b)) for a, b in folds]


def _most_telling(features: Floats, event: Ints, most: int) -> Ints:
    """Columns of amounts that tell events from others best on their own, in the order of the columns."""
    telling = []
    for j, column in enumerate(features.T):
        known = ~np.isnan(column)
        values = column[known]
        many = len(values) and len(np.unique(values)) > _DISTINCT and values.max() > _LEAST_AMOUNT
        if many and _both(event[known]):
            telling.append((-abs(auc(values, event[known]) - 0.5), j))
    return np.asarray(sorted(j for _, j in sorted(telling)[:most]), dtype=np.int64)
