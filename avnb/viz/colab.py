"""What Google Colab needs to show widgets."""

import sys
from functools import cache


@cache
def enable_colab_widgets() -> None:
    """Switch on Colab's manager for widgets of ipywidgets 8; elsewhere do nothing.

    Colab by itself draws only the widgets of the ipywidgets 7 that it brings. Its
    manager for custom widgets loads the scripts of the version that is installed. Call
    this before the first widget is shown.
    """
    # Colab's kernel imports this module before the first cell; no other has it.
    if "google.colab" not in sys.modules:
        return
    from google.colab import output

    output.enable_custom_widget_manager()
