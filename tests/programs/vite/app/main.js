document.querySelector('#message').textContent = 'hello from vite'

// Without this line Vite would reload the whole page on a change.
import.meta.hot?.accept()
