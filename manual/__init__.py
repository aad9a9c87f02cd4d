"""Write the pages of docs/ that the code and the templates already know."""
