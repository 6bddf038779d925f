// How to get in: one line for each role, to be copied.

import { element, note } from "./view.js";

const COPIED_SECONDS = 2;

// `tell` reads out what has happened.
export function ways(logins, tell) {
  const items = logins.map((login) => way(login, tell));
  const local = logins.every((login) => login.local_only);
  return element(
    "div",
    {},
    element("ul", { class: "ways" }, ...items),
    ...(local ? [note("These ports answer on the platform’s own machine only.")] : []),
    note(
      "Each line wants the role’s key, or your own once somebody has let it in. Where the platform was set up, its " +
        "ssh_config has the keys. After logging in, help lists the role’s commands."
    )
  );
}

function way(login, tell) {
  const line = `ssh -p ${Number(login.port)} ${login.user}@${host()}`;
  const code = element("code", {}, line);
  const button = element("button", { type: "button", "aria-label": `Copy the line for ${login.role}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line);
      button.textContent = "Copied";
      tell(`Copied: ${line}`);
    } catch {
      // Not permitted: marked, so that the keyboard's own copy takes it.
      getSelection().selectAllChildren(code);
      button.textContent = "Marked";
      tell("The line is marked, to be copied with the keyboard.");
    }
    setTimeout(() => (button.textContent = "Copy"), COPIED_SECONDS * 1000);
  });
  return element(
    "li",
    {},
    element("h3", {}, login.role),
    element("p", { class: "quiet" }, login.description),
    element("div", { class: "line" }, code, button)
  );
}

// The name the page was reached by. One with signs that a shell reads is none.
function host() {
  const name = location.hostname.replace(/^\[|\]$/g, "");
  return /^[A-Za-z0-9:][A-Za-z0-9.:-]*$/.test(name) ? name : "HOST";
}
