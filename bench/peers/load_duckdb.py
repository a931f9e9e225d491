"""Loads a CSV with DuckDB: load_duckdb.py JSON (extension | adbc)."""

import json
import sys

import duckdb

told, way = json.loads(sys.argv[1]), sys.argv[2]
KINDS = {"text": "VARCHAR", "float8": "DOUBLE", "numeric": "DECIMAL(18,4)"}
columns = {name.lower(): KINDS.get(kind, kind.upper()) for name, kind in told["columns"]}
rows = duckdb.connect()
rows.execute("SET preserve_insertion_order = false")
select = "SELECT * FROM read_csv($file, header = true, auto_detect = false, delim = ',', quote = '\"', columns = $columns)"
given = {"file": told["file"], "columns": columns}
if way == "extension":
    try:
        rows.execute("INSTALL postgres")
        rows.execute("LOAD postgres")
    except duckdb.Error as e:
        sys.exit(str(e).splitlines()[0])
    rows.execute("ATTACH '" + told["dsn"] + "' AS pg (TYPE postgres)")
    rows.execute("INSERT INTO pg.public.bench " + select, given)
else:
    import adbc_driver_postgresql.dbapi as adbc

    batches = rows.execute(select, given).to_arrow_reader(100_000)
    with adbc.connect(told["dsn"]) as conn, conn.cursor() as cursor:
        cursor.adbc_ingest("bench", batches, mode="append", db_schema_name="public")
        conn.commit()
