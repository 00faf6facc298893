from decimal import Decimal

from shop.prices import net


def test_net():
    assert net(Decimal("10.00")) == Decimal("10.00")
    assert net(Decimal("10.00"), Decimal("0.1")) == Decimal("9.00")
