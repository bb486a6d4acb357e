// Before the first paint: the theme that the person chose, if they did.
try {
  var theme = localStorage.getItem("raeh-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (e) {
  // A browser that keeps nothing: its own preference holds.
}
