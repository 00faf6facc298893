"""What things cost."""

from decimal import Decimal

VAT = Decimal("0.19")


def net(price: Decimal, discount: Decimal = Decimal(0)) -> Decimal:
    """The price after a discount between 0 and 1."""
    if not 0 <= discount <= 1:
        raise ValueError(f"a discount of {discount}")
    return round(price * (1 - discount), 2)


def gross(price: Decimal) -> Decimal:
    """The price with tax."""
    return round(price * (1 + VAT), 2)


def total(prices: list[Decimal]) -> Decimal:
    """The sum of all prices."""
    result = Decimal(0)
    for price in prices:
        result += price
    return result
