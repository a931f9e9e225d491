"""Loads a CSV with dlt, from Arrow tables by COPY: load_dlt.py JSON."""

import json
import os
import sys
import tempfile

told = json.loads(sys.argv[1])
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt  # noqa: E402  (it reads the environment)
import pyarrow as pa  # noqa: E402
from pyarrow import csv  # noqa: E402

KINDS = {"text": pa.string(), "float8": pa.float64(), "date": pa.date32(), "integer": pa.int32(), "timestamp": pa.timestamp("us")}


def tables():
    """Gives the file as Arrow tables; an empty number is null though it is quoted."""
    options = csv.ConvertOptions(
        column_types={name: KINDS[kind] for name, kind in told["columns"]},
        null_values=[""],
        quoted_strings_can_be_null=True,
        strings_can_be_null=False,
    )
    with csv.open_csv(told["file"], read_options=csv.ReadOptions(block_size=1 << 24), convert_options=options) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


with tempfile.TemporaryDirectory(dir=told["dir"]) as state:
    pipeline = dlt.pipeline("bench", pipelines_dir=state, destination=dlt.destinations.postgres(told["dsn"]), dataset_name="public")
    pipeline.run(tables(), table_name="bench", loader_file_format="csv", write_disposition="append").raise_on_failed_jobs()
