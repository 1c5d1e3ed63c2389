import { hydrateRoot } from 'react-dom/client';
import { Page } from './page.jsx';

const faults = globalThis.faults = [];
const told = (fault) => faults.push(`${fault}`);
hydrateRoot(document.getElementById('root'), <Page {...globalThis.given} />, { onRecoverableError: told, onUncaughtError: told });
