from engine.training.evaluation import accuracy, rouge


def test_rouge_is_a_mean_f_measure_in_percent() -> None:
    outputs = ["a small text editor", "nothing alike"]
    figures = rouge(["a text editor", "the game"], outputs)
    # 3 of 3 words recalled, 3 of 4 right: F = 6/7 for the first row, 0 for the second.
    assert figures["rouge1"] == round(100 * 6 / 7 / 2, 2)
    assert figures["rouge2"] == round(100 * 2 / 5 / 2, 2)
    assert figures["rougeL"] == figures["rouge1"]


def test_macro_f1_is_over_the_labels_of_the_references() -> None:
    figures = accuracy(["a", "a", "b", "b"], ["a", "a", "b", "c"])
    assert figures == {"accuracy": 75.0, "macro_f1": round(100 * (1 + 2 / 3) / 2, 2)}
