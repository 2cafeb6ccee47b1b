"""Arguments that releases of common packages take no more, and that older code still gives."""

import re
from collections.abc import Iterator

from runner.diagnosis.knowledge.package_changes import PackageChange

# `DISTRIBUTION VERSION CALLS ARGUMENT`, and what stands in for it: the argument's new name, another
# argument in its place, words, `-` where it may be left out, or `?` where only the older release
# does the same.
_ARGUMENTS = r"""
pandas 2 to_csv line_terminator lineterminator
pandas 3 fillna method ffill() or bfill()
pandas 3 groupby|resample|rolling|expanding|ewm axis df.T, and .T of what comes of it
pandas 3 to_datetime|read_csv infer_datetime_format -
pandas 3 read_csv|read_table date_parser date_format="%Y-%m-%d", as its dates are written
pandas 3 read_csv|read_table keep_date_col ?
pandas 3 read_csv|read_table|read_excel verbose -
pandas 2 resample base|loffset ?
pandas 3 read_csv|read_table delim_whitespace sep=r"\s+"
pandas 2 read_csv|read_table error_bad_lines on_bad_lines="skip"
pandas 2 read_csv squeeze read_csv(...).squeeze("columns")
pandas 2 sum|mean|std|min|max|count|median level groupby(level=...) before it
pandas 2 date_range closed inclusive
scipy 1.14 cg|cgs|bicg|bicgstab|gmres|minres|qmr tol rtol
scikit-learn 1.4 OneHotEncoder sparse sparse_output
scikit-learn 1.4 \w+ base_estimator estimator
scikit-learn 1.4 AgglomerativeClustering affinity metric
scikit-learn 1.2 \w+ normalize a StandardScaler before it
scikit-learn 1.8 LogisticRegression multi_class ?
scikit-learn 1.7 TSNE n_iter max_iter
scikit-learn 1.0 KMeans n_jobs|precompute_distances -
scikit-learn 1.6 mean_squared_error squared root_mean_squared_error(...)
lightgbm 4 train|cv|fit early_stopping_rounds callbacks=[lightgbm.early_stopping(...)]
lightgbm 4 train|cv verbose_eval callbacks=[lightgbm.log_evaluation(...)]
xgboost 2.1 fit early_stopping_rounds XGBClassifier(early_stopping_rounds=...), the constructor's
xgboost 2.1 fit eval_metric XGBClassifier(eval_metric=...), the constructor's
matplotlib 3.1 hist|hist2d normed density
matplotlib 3.5 set_\w+|semilog\w|loglog|[xy]scale nonpos[xy] nonpositive
matplotlib 3.5 set_\w+|semilog\w|loglog|[xy]scale base[xy] base
matplotlib 3.5 set_\w+|semilog\w|loglog|[xy]scale subs[xy] subs
matplotlib 3.5 set_\w+|[xy]scale linthresh[xy] linthresh
matplotlib 3.11 boxplot|bxp labels tick_labels
matplotlib 2.2 axes|subplot|add_subplot|set axisbg facecolor
polars 0.16 read_csv|scan_csv|write_csv sep separator
polars 0.16 read_csv|scan_csv has_headers has_header
sqlalchemy 2 MetaData bind ?
sqlalchemy 2 Table autoload autoload_with=engine
pymc 4 [A-Z]\w+ sd sigma
pymc 4 [A-Z]\w+ testval initval
geopandas 1.0 sjoin op predicate
"""


def gone_arguments(name: str) -> Iterator[tuple[re.Pattern[str], PackageChange]]:
    """Yield the calls that have lost an argument of this name, as a pattern, and since when."""
    for line in _ARGUMENTS.strip().splitlines():
        distribution, version, calls, argument, instead = line.split(maxsplit=4)
        if re.fullmatch(argument, name):
            change = PackageChange(distribution, version, None if instead == "?" else instead)
            yield re.compile(rf"\b({calls})\("), change
