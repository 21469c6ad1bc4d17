"""Audio that goes to another process or machine: nothing here is loaded until it is used."""
