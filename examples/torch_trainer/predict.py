"""The same as inference.py, under the name that other projects give it."""

from inference import main

if __name__ == "__main__":
    main()
