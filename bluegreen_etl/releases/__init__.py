"""The release engine that the commands share: context, plan, build, verify, lifecycle, hooks, drop.

Not called `release`: `bluegreen_etl.release` is the public function, and a subpackage of that name would replace it.
"""
