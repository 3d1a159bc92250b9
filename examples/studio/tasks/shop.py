"""The products of the shop, as products.csv lists them: each line is checked, a broken one is told and left out."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

from lists import read
from pydantic import BaseModel, ConfigDict, Field, ValidationError

FILE = "products.csv"
COLUMNS = ("sku", "name", "price", "facts")
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
    sound = []
    listed, broken = read(path, FILE, COLUMNS)
    for number, row in listed:
        try:
            sound.append(Product.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            broken.append(f"{FILE}, line {number}: {first['loc'][0]}: {first['msg']}; it is left out")
    return sound, broken
