/* Built from httpfront/web/src by make web. Licences: /assets/licenses.txt */
console.log(0);
