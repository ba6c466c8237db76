from collections.abc import Callable, Sequence
from os import PathLike

__version__: str

def call(words: Sequence[str], listen: Callable[[str], object]) -> str: ...
def describe(run: str | PathLike[str]) -> str: ...
