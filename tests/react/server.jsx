import { renderToString } from 'react-dom/server';
import { Page } from './page.jsx';

console.log(renderToString(<Page src="http://nowhere.example" tokens={['x']} />));
