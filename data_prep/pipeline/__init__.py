"""From a source's records to checked parquet files that verl reads. The data sets themselves are the modules above."""
