import { hydrateRoot } from 'react-dom/client';
import { App } from './app.jsx';

const root = document.getElementById('root');
hydrateRoot(root, <App relay={root.dataset.relay} />);
