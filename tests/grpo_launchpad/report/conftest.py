from tests.run_folders import healthy, run_folder

__all__ = ["healthy", "run_folder"]
