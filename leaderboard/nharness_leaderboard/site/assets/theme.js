// Light or dark: the reader's system, unless the button was used; remembered where the browser allows it.
(function () {
  "use strict";
  var root = document.documentElement;
  function stored() { try { return localStorage.getItem("nharness-theme"); } catch (error) { return null; } }
  function remember(value) { try { localStorage.setItem("nharness-theme", value); } catch (error) { return; } }
  var before = stored();
  if (before === "dark" || before === "light") root.dataset.theme = before;
  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  document.addEventListener("DOMContentLoaded", function () {
    document.getElementById("theme").addEventListener("click", function () {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      document.dispatchEvent(new CustomEvent("themechange"));
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    document.dispatchEvent(new CustomEvent("themechange"));
  });
})();
