/** Which kinds somebody wants. @import * as T from './elements.js' */
import { cut, make } from './dom.js';

/** Where nothing can be chosen. */
const ALL = { kind: '*', label: '', required: true, enabled: true, chosen: false };

/** @type {T.ShowPreferences} */
export const showPreferences = (panel, client, words, failed) => {
  const list = make('div'); // out of the panel when somebody else's are shown: what comes late goes with it
  let drawn = '';
  /** @type {HTMLInputElement[]} */
  let boxes = [];

  /** @type {(one: T.Preference) => HTMLInputElement} */
  const create = ({ kind, label, required }) => {
    const choose = () => client.setPreference(kind, box.checked).then(draw, () => {
      box.checked = !box.checked;
      failed();
    });
    const box = make('input', { type: 'checkbox', role: 'switch', disabled: required, onchange: choose });
    const name = make('span', { dir: 'auto' }, kind === '*' ? words.all : cut(label || kind));
    list.append(make('label', { part: 'preference' }, name, ...(required ? [make('small', {}, words.required)] : []), box));
    return box;
  };

  /** Rows stay while they are the same: somebody is at one. @type {(all: T.Preference[]) => void} */
  const draw = (all) => {
    const now = all.length ? all : [ALL];
    const before = drawn;
    drawn = JSON.stringify(now, ['kind', 'label', 'required']);
    if (drawn !== before) {
      list.replaceChildren();
      boxes = now.map(create);
    }
    now.forEach(({ enabled }, at) => { boxes[at].checked = enabled; });
  };
  const load = () => client.preferences().then(draw, failed);
  panel.replaceChildren(list);
  load();
  return load;
};
