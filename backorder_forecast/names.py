"""Other names: what other tools, and people, call our tables and columns.

Pure data. Names are compared without case, spaces and punctuation (`plain_name`), so `Order Date`, `order_date` and
`OrderDate` are one. Names of a column are separated by commas; a name belongs to one column of a table only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

TABLE_NAMES = {
    "sales": """sale, sales_history, sales_lines, transactions, demand, demand_history, shipments, invoices,
        invoice_lines, Verkauf, Umsatz, Absatz""",
    "purchase_orders": """purchase_order, purchase_order_lines, po, pos, po_lines, purchases, procurement,
        supplier_orders, Bestellungen""",
    "inventory": """stock, stock_on_hand, on_hand, stock_levels, inventory_snapshots, stock_snapshot, snapshot,
        inventories, Bestand, Lagerbestand""",
    "backorders": """backorder, backorder_lines, open_orders, open_order_lines, open_lines,
        customer_backorders, Rückstände, Rueckstaende""",
    "products": """product, product_master, items, item_master, skus, sku_master, articles, materials, parts,
        master_data, Artikel, Artikelstamm, Stammdaten""",
    "supplier_items": """supplier_item, vendor_items, supplier_products, sourcing, supplier_catalog, supplier_prices,
        Lieferantenartikel""",
    "events": "event, calendar, promotions, promos, closures, recalls, Ereignisse, Aktionen",
}

_SKU = """item, item_id, item_code, item_no, item_number, product, product_id, product_code, product_no,
    product_number, stock_code, stock_item_id, material, material_number, article, article_id, article_no,
    article_number, part, part_no, part_number, part_id, unique_id, sku_id, sku_code, sku_no, Artikel, Artikelnummer,
    Artikelnr, Materialnummer"""
_LOCATION = """location_id, location_code, store, store_id, store_nbr, store_number, shop, shop_id, warehouse,
    warehouse_id, warehouse_code, site, site_id, site_code, plant, branch, depot, Lager, Lagerort, Filiale, Standort,
    Werk"""
_CUSTOMER = """customer, customer_no, customer_number, customer_code, client, client_id, account, buyer_id, Kunde,
    Kundennummer"""
_SUPPLIER = """supplier_id, supplier_name, supplier_code, vendor, vendor_id, vendor_name, vendor_code, Lieferant,
    Lieferantennummer"""
_ORDER = """order, order_no, order_number, sales_order, sales_order_id, invoice, invoice_no, invoice_id,
    invoice_number, Auftrag, Auftragsnummer, Belegnummer"""
_PRICE = """selling_price, sales_price, sell_price, list_price, price_per_unit, Preis, Verkaufspreis"""
_COST = """cost, unit_cost_price, cost_price, purchase_price, buying_price, standard_cost, cost_per_unit,
    Einkaufspreis"""
_LEAD = "lead_time, lt_days, delivery_days, stated_lead_time, Lieferzeit"
_MOQ = """min_order_qty, minimum_order_quantity, min_order_quantity, minimum_quantity, min_qty,
    Mindestbestellmenge"""
_PACK = """pack, pack_qty, pack_quantity, case_size, case_pack, carton_size, order_multiple, lot_size, units_per_pack,
    quantity_per_outer, Verpackungseinheit"""
_CATEGORY = """product_category, item_category, product_group, item_group, family, product_family, department,
    Warengruppe"""
_PROMISED = """promise_date, promised, promised_delivery_date, due_date, expected_date, expected_delivery_date, eta,
    scheduled_date, requested_delivery_date, Liefertermin"""
_RECORDED = "promise_recorded, promise_made_date, promise_date_recorded, promised_on, confirmed_on"
_CANCELLED = "cancelled, canceled_date, cancellation_date, cancel_date, cancelled_on, Stornodatum"

COLUMN_NAMES: dict[str, dict[str, str]] = {
    "sales": {
        "sku": _SKU,
        "date": """ds, sale_date, sales_date, invoice_date, transaction_date, ship_date, shipment_date, shipped_date,
            posting_date, timestamp, datetime, order_date, Datum, Rechnungsdatum, Lieferdatum, Buchungsdatum""",
        "quantity": """y, qty, units, quantity_sold, qty_sold, units_sold, sold, sales, sales_qty, sales_quantity,
            unit_sales, demand, order_quantity, order_qty, shipped_quantity, qty_shipped, Menge, Absatz, Stückzahl,
            Stueckzahl, Anzahl""",
        "location": _LOCATION,
        "customer_id": _CUSTOMER,
        "order_id": _ORDER,
        "price": "unit_price, " + _PRICE,
    },
    "purchase_orders": {
        "supplier": _SUPPLIER,
        "order_date": """ordered_date, date_ordered, ordered_on, po_date, order_placed, placed_date, created_date,
            Bestelldatum""",
        "received_date": """receipt_date, date_received, received_on, received, delivered, delivered_date,
            delivery_date, arrival_date, actual_delivery_date, last_receipt_date, goods_receipt_date, Wareneingang,
            Wareneingangsdatum, Eingangsdatum""",
        "po_id": """po, po_no, po_number, purchase_order, purchase_order_id, purchase_order_number, order_id, order_no,
            order_number, Bestellnummer""",
        "sku": _SKU,
        "location": _LOCATION,
        "category": _CATEGORY,
        "quantity_ordered": """ordered_quantity, qty_ordered, ordered_qty, order_quantity, order_qty, ordered,
            quantity, qty, Bestellmenge, Menge""",
        "quantity_received": """received_quantity, qty_received, received_qty, delivered_quantity, receipt_quantity,
            Eingangsmenge, Liefermenge""",
        "promised_date": _PROMISED,
        "supplier_confirmed_date": """confirmed_date, confirmed_delivery_date, supplier_date, acknowledged_date,
            bestätigter_Termin""",
        "promise_recorded_date": _RECORDED,
        "cancelled_date": _CANCELLED,
        # The day on which a receipt was posted has names such as entry date: it is another thing, and not guessed at.
        "recorded_date": "in_records_since",
    },
    "inventory": {
        "sku": _SKU,
        "date": "ds, snapshot_date, stock_date, as_of, as_of_date, inventory_date, count_date, Datum, Stichtag",
        "on_hand": """stock, stock_on_hand, quantity_on_hand, qty_on_hand, on_hand_quantity, on_hand_qty,
            quantity, qty, inventory, inventory_level, stock_level, stock_end, closing_stock, ending_stock,
            current_stock, soh, Bestand, Lagerbestand""",
        "location": _LOCATION,
        "reserved": "reserved_quantity, qty_reserved, allocated, allocated_quantity, committed, reserviert",
        "on_hold": "hold, quantity_on_hold, blocked, blocked_quantity, quarantine, quality_hold, gesperrt",
        "counted": "counted_quantity, count, physical_count, stock_take, cycle_count, gezählt",
    },
    "backorders": {
        "order_id": _ORDER,
        "sku": _SKU,
        "order_date": """date, ordered_date, ordered_on, date_ordered, created_date, created, Auftragsdatum,
            Bestelldatum""",
        "quantity": """qty, ordered_quantity, quantity_ordered, qty_ordered, order_quantity, order_qty, units,
            backorder_quantity, backordered, Menge""",
        "location": _LOCATION,
        "customer_id": _CUSTOMER,
        "priority": "prio, rank, customer_priority, Priorität",
        "promised_date": _PROMISED,
        "promise_recorded_date": _RECORDED,
        "quantity_filled": """filled_quantity, qty_filled, filled, shipped_quantity, quantity_shipped, qty_shipped,
            delivered_quantity""",
        "filled_date": "fill_date, filled_on, ship_date, shipped_date, shipment_date, delivered_date, fulfilled_date",
        "cancelled_date": _CANCELLED,
        "unit_price": "price, " + _PRICE,
        "prepaid_amount": "prepaid, prepayment, deposit, deposit_paid, amount_paid, Anzahlung",
        "refunded_amount": "refunded, refund, refund_amount, Erstattung",
        "complete_only": "ship_complete, complete_delivery, no_partial, full_delivery_only, Komplettlieferung",
        "substituted_by": "substitute, substituted_with, replaced_by, replacement_sku",
    },
    "products": {
        "sku": _SKU,
        "location": _LOCATION,
        "supplier": _SUPPLIER,
        "category": _CATEGORY,
        "product_type": "type, item_type, sku_type",
        "unit_cost": _COST,
        "price": "unit_price, " + _PRICE,
        "lead_time_days": _LEAD,
        "moq": _MOQ,
        "pack_size": _PACK,
        "review_days": "review_period, review_period_days, order_cycle_days",
        "daily_capacity": "capacity, capacity_per_day, production_capacity",
        "holding_cost_rate": "holding_rate, carrying_cost_rate",
        "order_cost": "ordering_cost, setup_cost, fixed_order_cost, Bestellkosten",
        "shelf_life_days": "shelf_life, Haltbarkeit",
        "substitute_sku": "substitute, alternative, alternative_sku, replacement_sku, Ersatzartikel",
        "launched": "launch_date, launched_on, introduced, introduction_date, start_date, available_from",
        "discontinued": "discontinued_date, discontinued_on, end_date, end_of_life, eol_date",
        "recalled_from": "recall_from, recall_start, recall_date",
        "recalled_to": "recall_to, recall_end",
    },
    "supplier_items": {
        "supplier": _SUPPLIER,
        "sku": _SKU,
        "unit_cost": _COST,
        "lead_time_days": _LEAD,
        "express_lead_time_days": "express_lead_time, express_days, rush_lead_time",
        "express_cost": "rush_cost, express_unit_cost",
        "moq": _MOQ,
        "pack_size": _PACK,
        "supplier_minimum": "minimum_order_value, min_order_value, supplier_min, Mindestbestellwert",
        "price_break_quantity": "break_quantity, discount_quantity, Staffelmenge",
        "price_break_cost": "break_cost, discount_cost, Staffelpreis",
    },
    "events": {
        "kind": "event, event_type, type, name",
        "start": "start_date, date, from, from_date, begin, begin_date, von",
        "end": "end_date, to, to_date, until, finish, bis",
        "sku": _SKU,
        "category": _CATEGORY,
        "supplier": _SUPPLIER,
        "effect": "factor, demand_factor, uplift, multiplier",
    },
}
"""Table -> canonical column -> the other names it goes by."""


def plain_name(name: object) -> str:
    """A name without case, spaces and punctuation, as names are compared.

    Examples
    --------
    >>> plain_name("Order Date"), plain_name("order_date"), plain_name(" OrderDate ")
    ('orderdate', 'orderdate', 'orderdate')
    """
    return re.sub(r"[^0-9a-zà-ÿ]", "", str(name).lower())


def find_table(name: str) -> str | None:
    """Canonical table of a file, sheet or key of any recognised name, or None.

    Examples
    --------
    >>> find_table("Purchase Orders"), find_table("stock"), find_table("readme")
    ('purchase_orders', 'inventory', None)
    """
    return _TABLES.get(plain_name(name))


def by_table(option: str, values: Mapping[Any, Any] | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An option that holds something per table, by canonical table, and what is wrong with its names.

    Parameters
    ----------
    option
        The option as messages call it, such as "columns=".
    values
        Table, by any of its names, to what the option says of it.

    Examples
    --------
    >>> values, failures = by_table("date_format=", {"stock": "%d.%m.%Y", "salse": "%d.%m.%Y"})
    >>> values, failures[0]["problem"], failures[0]["what_to_do"][:26]
    ({'inventory': '%d.%m.%Y'}, 'date_format= names an unknown table', "did you mean 'sales'? the ")
    """
    found: dict[str, Any] = {}
    failures: list[dict[str, Any]] = []
    for given, value in (values or {}).items():
        name = find_table(str(given))
        if name is None:
            near = difflib.get_close_matches(plain_name(given), _TABLES, n=1)
            what = (f"did you mean {_TABLES[near[0]]!r}? " if near else "") + f"the tables are {', '.join(TABLE_NAMES)}"
            problem = f"{option} names an unknown table"
            failures.append({"table": str(given), "problem": problem, "what_to_do": what})
        elif name in found:
            problem, what = f"{option} names this table twice", "put both parts under one name"
            failures.append({"table": name, "problem": problem, "found": repr(given), "what_to_do": what})
        else:
            found[name] = value
    return found, failures


def find_column(table: str, name: object) -> str | None:
    """Canonical column of a table for a column of any recognised name, or None.

    Examples
    --------
    >>> find_column("sales", "StockCode"), find_column("sales", "ds"), find_column("sales", "Country")
    ('sku', 'date', None)
    """
    return _COLUMNS[table].get(plain_name(name))


def _lookup(names: dict[str, str]) -> dict[str, str]:
    """Plain name -> canonical name; a canonical name wins over another column's synonym."""
    found = {plain_name(name): name for name in names}
    for name, synonyms in names.items():
        for synonym in synonyms.split(","):
            found.setdefault(plain_name(synonym), name)
    return found


_TABLES = _lookup(TABLE_NAMES)
_COLUMNS = {table: _lookup(columns) for table, columns in COLUMN_NAMES.items()}
