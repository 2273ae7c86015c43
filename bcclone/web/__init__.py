"""What every web page needs: server, websocket, access control, style and drawing."""
