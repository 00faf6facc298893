"""What somebody is about to buy."""

from decimal import Decimal

from shop.prices import gross, total


class Basket:
    """Items and how many of each."""

    def __init__(self) -> None:
        self.items: dict[str, tuple[Decimal, int]] = {}

    def add(self, name: str, price: Decimal, count: int = 1) -> None:
        """Puts in some more of an item."""
        _, before = self.items.get(name, (price, 0))
        self.items[name] = (price, before + count)

    def sum(self) -> Decimal:
        """What all of it costs, with tax."""
        return gross(total([price * count for price, count in self.items.values()]))
