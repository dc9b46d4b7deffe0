// The panels beside a transcript: static/recording/<name>.js each, loaded when they are opened.

export const PANELS = ["find", "speakers", "notes", "revisions", "share", "exports"];
