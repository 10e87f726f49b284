"""`mindlift ui`: a page of this machine's runs and jobs. One process, this machine only, nothing that it shows is changed."""
