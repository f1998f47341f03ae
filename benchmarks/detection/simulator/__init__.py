"""A discrete-event model of orchestrators, workers, services, a database and the network between them."""
