"""The products of the shop, as products.csv lists them: each line is checked, a broken one is told and left out."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FILE = "products.csv"
SKU = r"^[A-Z]{2}-[0-9]{3}$"


class Product(BaseModel):
    """A line of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: Annotated[str, Field(pattern=SKU)]
    name: Annotated[str, Field(min_length=1, max_length=80)]
    price: Annotated[Decimal, Field(gt=0, decimal_places=2)]  #: EUR
    facts: Annotated[str, Field(min_length=1, max_length=1000)]


def products(path: Path) -> tuple[list[Product], list[str]]:
    """The sound lines, and what is wrong with the others."""
    sound, broken = [], []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, restkey="too many columns", strict=True)
        try:
            for row in reader:
                try:
                    sound.append(Product.model_validate(row))
                except ValidationError as error:
                    first = error.errors()[0]
                    words = f"{first['loc'][0]}: {first['msg']}"
                    broken.append(f"{FILE}, line {reader.line_num}: {words}; it is left out")
        except csv.Error as error:
            broken.append(f"{FILE}, line {reader.reader.line_num}: {error}; all from there on is left out")
    return sound, broken
