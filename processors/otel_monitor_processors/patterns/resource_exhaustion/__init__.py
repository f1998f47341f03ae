"""Resource exhaustion: climbs with a forecast, saturation, shortages; `detector` puts them together."""
