from hypothesis import given
from hypothesis import strategies as st

from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.settings import Settings, read_settings, settings_of


def test_whole_numbers_are_read_and_nothing_else():
    text = "data:\n  max_response_length: 8\n  train_batch_size: ${x}\ntrainer:\n  test_freq: -1\n  save_freq: true\n"
    assert read_settings(text) == Settings(response_limit=8, test_freq=-1)


def test_a_run_without_a_configuration_has_none(tmp_path):
    assert settings_of(RunFolder(tmp_path)) == Settings()


@given(st.text())
def test_no_text_stops_it(text):
    read_settings(text)
