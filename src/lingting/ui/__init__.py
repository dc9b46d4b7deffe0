"""The pages: what a person with a browser gets.

Gradio makes the page that is loaded (:mod:`lingting.ui.shell`): its addresses, its theme, its place
for content. What is in that place are custom elements, the modules below ``static/``, which talk to
the native API as any other client does: a page can do nothing that the API does not offer, and
nothing that the person may not. :mod:`lingting.ui.files` serves the modules and the words in both
languages (``words/*.json``). Nothing is loaded from another host and no text is evaluated as a
program, so the pages run under a strict content security policy.

``docs/pages.md`` says how a page is added.
"""
