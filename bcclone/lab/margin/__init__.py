"""Map the margins of a model: from which places, offsets and headings on a road the car comes back to the middle."""
