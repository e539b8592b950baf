"""What Google Colab needs to show widgets."""

import sys
from functools import cache


@cache
def enable_colab_widgets() -> None:
    """Switch on Colab's manager for widgets of ipywidgets 8; elsewhere do nothing.

    Colab draws only the widgets of ipywidgets 7 by itself. With its manager for custom
    widgets it loads the scripts of the version that is installed. Call it before the
    first widget is shown.
    """
    if "google.colab" not in sys.modules:
        return
    from google.colab import output

    output.enable_custom_widget_manager()
